//! What the daemon has told the datapath of the host: compared with the host, it shows what was missed.

use std::net::Ipv4Addr;

use snat_common::{Interface, settings::MAX_INTERFACES};

use super::{
    Pins,
    map::{Map, MapError, value},
};

/// The interfaces that the datapath knows, in no order.
///
/// # Errors
///
/// [`MapError`].
pub fn interfaces(pins: &Pins) -> Result<Vec<Interface>, MapError> {
    let map = Map::open(pins.dir(), "INTERFACES")?;
    let mut known = Vec::new();
    for slot in 0..MAX_INTERFACES {
        let found = map.get(&slot.to_ne_bytes())?;
        known.extend(found.map(|bytes| value::<Interface>(&bytes)));
    }
    known.retain(|interface| interface.ifindex != 0);
    Ok(known)
}

/// Addresses that flows are translated to: those that the configuration lists, and those that `auto` stands for.
///
/// # Errors
///
/// [`MapError`].
pub fn externals(pins: &Pins) -> Result<Vec<Ipv4Addr>, MapError> {
    let mut addresses = Vec::new();
    Map::open(pins.dir(), "EXTERNALS")?.for_each(|key, _| {
        addresses.extend(<[u8; 4]>::try_from(key).ok().map(Ipv4Addr::from));
    })?;
    addresses.sort_unstable();
    Ok(addresses)
}
