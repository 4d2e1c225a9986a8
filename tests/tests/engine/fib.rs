//! Routes and neighbours as plain lists: what the kernel's FIB would say.

use snat_common::{Addr, Route, RouteKind, next_hop::not_forwarded};

/// Where a prefix goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Out of an interface, to a gateway if there is one.
    Send {
        ifindex: u32,
        via: Option<Addr>,
        mtu: u16,
        metric: u32,
    },
    /// Received here, broadcast, or refused.
    Stays,
    /// Into a tunnel.
    Encapsulated,
}

/// Prefix, its length, and where it goes.
pub(crate) type Prefixed = (Addr, u8, Target);

/// The routing and the neighbour table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fib {
    pub(crate) routes: Vec<Prefixed>,
    /// Sources that have routes of their own, which come first.
    pub(crate) by_source: Vec<(Addr, Vec<Prefixed>)>,
    /// Addresses whose link-layer address is known.
    pub(crate) neighbours: Vec<(u32, Addr, [u8; 6])>,
}

impl Fib {
    /// The longest prefix around `dst` decides, of the source's own routes if any of those has it.
    pub(crate) fn look_up(&self, src: Addr, dst: Addr) -> Route {
        let own = self.by_source.iter().find(|(source, _)| *source == src);
        let own = own.and_then(|(_, routes)| longest(routes, dst));
        let Some(target) = own.or_else(|| longest(&self.routes, dst)) else {
            return not_forwarded();
        };
        let (ifindex, via, mtu, metric) = match target {
            Target::Stays => return not_forwarded(),
            Target::Encapsulated => {
                return Route {
                    kind: RouteKind::Unusable,
                    ..not_forwarded()
                };
            }
            Target::Send {
                ifindex,
                via,
                mtu,
                metric,
            } => (ifindex, via, mtu, metric),
        };
        let gateway = via.unwrap_or(dst);
        let known = self
            .neighbours
            .iter()
            .find(|(dev, addr, _)| (*dev, *addr) == (ifindex, gateway));
        match known {
            Some((_, _, mac)) => Route {
                kind: RouteKind::Ready,
                ifindex,
                mtu,
                mac: *mac,
                gateway,
                metric,
            },
            None => Route {
                kind: RouteKind::NoNeighbour,
                ifindex,
                mtu,
                mac: [0; 6],
                gateway,
                metric,
            },
        }
    }
}

fn longest(routes: &[Prefixed], dst: Addr) -> Option<Target> {
    routes
        .iter()
        .filter(|(prefix, len, _)| contains(*prefix, *len, dst))
        .max_by_key(|(_, len, _)| *len)
        .map(|(_, _, target)| *target)
}

/// Whether the prefix has `addr` in it.
pub(crate) fn contains(prefix: Addr, len: u8, addr: Addr) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
    (u32::from_be_bytes(prefix) ^ u32::from_be_bytes(addr)) & mask == 0
}
