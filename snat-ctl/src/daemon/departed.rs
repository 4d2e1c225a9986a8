//! Addresses that the host has lost: flows that are translated to one are ended, once it is sure to stay away.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use ipnet::Ipv4Net;
use snat_common::Interface;

use crate::{
    config::{Config, External},
    datapath::{Allowed, Filter, Pins, Scan, end_others, flush},
    netlink,
};

/// Who sets an interface up anew takes an address away and gives it back: its flows live through that.
const PATIENCE: Duration = Duration::from_secs(1);

/// Those that went, and when.
#[derive(Default)]
pub(super) struct Departed(BTreeMap<Ipv4Addr, Instant>);

impl Departed {
    /// Notes which interfaces have another address now. One that is away keeps its own: nothing leaves by it.
    pub(super) fn note(&mut self, then: &[Interface], now: &[Interface]) {
        for (then, now) in then.iter().zip(now) {
            if then.addr != [0; 4] && then.addr != now.addr {
                self.0.entry(then.addr.into()).or_insert_with(Instant::now);
            }
            self.0.remove(&Ipv4Addr::from(now.addr));
        }
    }

    /// Takes those that have been away for long enough, and that the configuration does not name itself.
    ///
    /// # Errors
    ///
    /// The addresses could not be read; what is due stays due.
    pub(super) fn due(&mut self, config: &Config) -> anyhow::Result<Vec<Ipv4Addr>> {
        let due = self
            .0
            .iter()
            .filter(|(_, since)| since.elapsed() > PATIENCE);
        let mut due: Vec<Ipv4Addr> = due.map(|(addr, _)| *addr).collect();
        if due.is_empty() {
            return Ok(due);
        }
        let present = netlink::all_addresses()?;
        self.0.retain(|addr, _| !due.contains(addr));
        let is_here = |addr| {
            present
                .iter()
                .any(|there| there.net.addr() == IpAddr::V4(addr))
        };
        due.retain(|addr| !is_here(*addr) && !is_configured(config, *addr));
        Ok(due)
    }
}

/// The operator says that packets for it come here, whichever interface has it.
fn is_configured(config: &Config, addr: Ipv4Addr) -> bool {
    let mut external = config.snat.iter().flat_map(|snat| &snat.external);
    external.any(|external| *external == External::Addr(addr))
}

/// Ends them: nobody finds their mappings any more, and what their clients send next opens a flow with an address that is
/// ours, or is told that there is none.
///
/// # Errors
///
/// The tables could not be read or written.
pub(super) fn end_flows(pins: &Pins, allowed: &Allowed, gone: &[Ipv4Addr]) -> anyhow::Result<u64> {
    end_others(pins, allowed)?;
    let filter = Filter {
        external: gone.iter().copied().map(Ipv4Net::from).collect(),
        ..Filter::default()
    };
    Ok(flush(pins, &Scan::open(pins, &filter)?)?)
}
