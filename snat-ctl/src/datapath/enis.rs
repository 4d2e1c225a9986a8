//! Tells the datapath of policy routes: in maps that nobody else writes, so a running gateway follows at once.

use std::{collections::BTreeMap, net::Ipv4Addr};

use ipnet::Ipv4Net;
use snat_common::Eni;

use super::{
    Pins,
    desired::prefix,
    map::{Map, MapError, bytes},
    populate::update_settings,
};

/// An interface that has policy routes, or a default route by which balanced flows would go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EniHint {
    /// Kernel's interface index.
    pub ifindex: u32,
    /// Its share of new flows that would go by a default route; 0: it gets none, as while it is down.
    pub weight: u16,
    /// Next hop and metric of the main table's default route by it.
    pub default_route: Option<(Ipv4Addr, u32)>,
}

/// Makes the datapath follow these and no others. `sources` are what has a `from` rule: addresses of interfaces, prefixes
/// delegated to them, and those of an interface that is away while its rules stay. Living flows keep their external address, whatever the weights
/// become; their routes are asked for anew where something has changed. True: it has.
///
/// It needs nothing that [`populate`](super::populate()) writes. Before that, a new address has its routes
/// when the first packet gets it.
///
/// # Errors
///
/// [`MapError`] of the first map that refused; calling again goes on.
pub fn follow_enis(pins: &Pins, sources: &[Ipv4Net], hints: &[EniHint]) -> Result<bool, MapError> {
    let sources = sources.iter().map(|net| {
        let key = prefix(net.network(), net.prefix_len());
        (bytes(&key).to_vec(), 0_u32.to_ne_bytes().to_vec())
    });
    let enis = hints.iter().map(|hint| {
        let key = hint.ifindex.to_ne_bytes().to_vec();
        (key, bytes(&element(hint)).to_vec())
    });
    // A share of new flows comes last: their addresses are routed by then.
    let routed = bring_to(pins, "BY_SOURCE", &sources.collect())?;
    let shared = bring_to(pins, "ENIS", &enis.collect())?;
    let changed = routed || shared;
    if changed {
        update_settings(pins, |settings| {
            settings.generation = settings.generation.wrapping_add(1);
        })?;
    }
    Ok(changed)
}

fn element(hint: &EniHint) -> Eni {
    let (gateway, metric) = hint.default_route.unwrap_or((Ipv4Addr::UNSPECIFIED, 0));
    Eni {
        gateway: gateway.octets(),
        metric,
        weight: hint.weight,
        zero: [0; 2],
    }
}

/// Writes a map where it holds anything else. True: it did.
fn bring_to(
    pins: &Pins,
    name: &str,
    wanted: &BTreeMap<Vec<u8>, Vec<u8>>,
) -> Result<bool, MapError> {
    let map = Map::open(pins.dir(), name)?;
    let mut present = BTreeMap::new();
    for key in map.keys()? {
        if let Some(value) = map.get(&key)? {
            present.insert(key, value);
        }
    }
    if present == *wanted {
        return Ok(false);
    }
    map.replace(wanted)?;
    Ok(true)
}
