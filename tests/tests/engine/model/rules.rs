//! What the configuration of the [`crate::world`] says, in the model's words.

use std::collections::HashMap;

use snat_common::{
    Addr, Protocol,
    flow::TIMED_STATES,
    settings::{Filtering, Mapping},
};

use super::nat::Owned;
use crate::{
    frames::Endpoint,
    world::{EXTERNAL, MANY, ONE_ARM, PORT, ROUTED},
};

/// Ports of entry `many`, half of them well-known.
pub(super) const MANY_PORTS: std::ops::Range<u16> = 1016..1032;
/// Ports of entry `pool`.
pub(super) const POOL_PORTS: std::ops::Range<u16> = 20_000..20_008;
/// Addresses of entry `pool`.
const POOL: [Addr; 3] = [[203, 0, 113, 20], [203, 0, 113, 21], [203, 0, 113, 22]];

#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) mode: Mapping,
    pub(super) filtering: Filtering,
    /// Ticks, by state.
    pub(super) timeouts: [u32; TIMED_STATES],
    pub(super) rest: u32,
    /// Flows per client; 0 for any number.
    pub(super) limit: u32,
    /// New ones a second.
    pub(super) rate: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            mode: Mapping::Auto,
            filtering: Filtering::AddressAndPortDependent,
            timeouts: [60, 300, 240, 900, 900, 900, 120, 120, 100, 200],
            rest: 150,
            limit: 0,
            rate: 0,
        }
    }
}

impl Rules {
    pub(super) fn pool(&self, client: Addr) -> Vec<Addr> {
        if is_pooled(client) {
            POOL.to_vec()
        } else {
            vec![EXTERNAL]
        }
    }

    pub(super) fn ports(&self, client: Addr) -> Vec<u16> {
        if MANY.contains(&client) {
            MANY_PORTS.collect()
        } else if [ROUTED, ONE_ARM].contains(&client) {
            vec![PORT]
        } else {
            POOL_PORTS.collect()
        }
    }

    pub(super) fn is_external(&self, addr: Addr) -> bool {
        self.is_own(addr) || POOL.contains(&addr)
    }

    /// Whether the host itself has it.
    pub(super) fn is_own(&self, addr: Addr) -> bool {
        addr == EXTERNAL
    }

    /// Whether clients are given that port of that address.
    pub(super) fn is_handed_out(&self, (addr, port): Endpoint) -> bool {
        if addr == EXTERNAL {
            MANY_PORTS.contains(&port) || port == PORT
        } else {
            POOL.contains(&addr) && POOL_PORTS.contains(&port)
        }
    }
}

fn is_pooled(client: Addr) -> bool {
    client[..3] == [10, 1, 9]
}

/// Whether the external port is the client's to choose from.
pub(super) fn has_ports(protocol: Protocol) -> bool {
    protocol != Protocol::Gre
}

/// Whether a port is of the class and parity of the client's.
pub(super) fn keeps(protocol: Protocol, client: u16, external: u16) -> bool {
    let class = protocol == Protocol::Icmp || (client < 1024) == (external < 1024);
    let parity = protocol != Protocol::Udp || client % 2 == external % 2;
    class && parity
}

/// Whether the configuration made that mapping.
pub(super) fn is_static_to(
    mappings: &HashMap<(Protocol, Endpoint), Owned>,
    outside: (Protocol, Endpoint),
) -> bool {
    mappings.get(&outside).is_some_and(|owned| owned.fixed)
}
