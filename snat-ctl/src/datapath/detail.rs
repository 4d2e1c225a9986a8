//! One flow in full.

use serde::Serialize;
use snat_common::{Settings, mapping::hold};

use super::{
    Flow, Pins,
    map::{Map, MapError, value},
    names::STATES,
    raw::RawEntry,
    view::seconds,
};

/// A flow, and what its entries say besides.
#[derive(Clone, Debug, Serialize)]
pub struct Detail {
    /// What lists show.
    #[serde(flatten)]
    pub flow: Flow,
    /// Seconds until it has expired if no packet comes; 0 for one that waits to be removed.
    pub expires_in_seconds: f64,
    /// `client` or `server`: who sent its first packet.
    pub opened_by: &'static str,
    /// Whether the external port is the client endpoint's own towards all servers; else it is this flow's only.
    pub own_port: bool,
    /// Link-layer address that its packets to the server are sent to; none before the first was.
    pub next_hop: Option<String>,
    /// Largest IP packet that the route to the server takes.
    pub mtu: Option<u16>,
}

/// Reads what more there is of a flow; `None` if it has ended.
///
/// # Errors
///
/// [`MapError`].
pub fn detail(pins: &Pins, flow: Flow) -> Result<Option<Detail>, MapError> {
    let mut bytes = [0; RawEntry::LEN];
    if !Map::open(pins.dir(), "FLOWS")?.read(&flow.id.bytes(), &mut bytes)? {
        return Ok(None);
    }
    let out = RawEntry::of(&bytes).expect("of that size");
    let timeout = timeout(pins, flow.state)?;
    let routed = out.mtu() != 0;
    let holds = |what| out.holds() & what != 0;
    Ok(Some(Detail {
        expires_in_seconds: (timeout - flow.idle_seconds).max(0.0),
        opened_by: if holds(hold::FROM_OUTSIDE) {
            "server"
        } else {
            "client"
        },
        own_port: holds(hold::MAPPING),
        next_hop: routed.then(|| out.next_hop().map(|byte| format!("{byte:02x}")).join(":")),
        mtu: routed.then_some(out.mtu()),
        flow,
    }))
}

/// Seconds that a flow in this state may be idle.
fn timeout(pins: &Pins, state: &str) -> Result<f64, MapError> {
    let Some(settings) = Map::open(pins.dir(), "SETTINGS")?.get(&0_u32.to_ne_bytes())? else {
        return Ok(0.0);
    };
    let settings: Settings = value(&settings);
    let number = STATES.iter().find(|(_, name)| *name == state);
    let ticks = number.and_then(|(number, _)| settings.timeouts.get(*number as usize));
    Ok(seconds(ticks.copied().unwrap_or_default()))
}
