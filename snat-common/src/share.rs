//! Interfaces that share what would go by a default route: each gets new flows in proportion to its weight.
//!
//! Which one a flow gets is decided once, when its external address is: from then on packets follow that
//! ([`crate::next_hop`]), whatever becomes of the weights.

use crate::{
    env::{Env, Route},
    flow::Addr,
    settings::MAX_INTERFACES,
};

/// Whether this answer of the FIB is the main table's default route by an interface.
///
/// The FIB does not say from which table or prefix a route is: next hop and metric must do.
#[inline(always)]
pub fn is_default<E: Env>(env: &E, route: &Route, dst: Addr) -> bool {
    env.eni(route.ifindex).is_some_and(|eni| {
        eni.gateway == route.gateway
            && eni.metric == route.metric
            // On its own link everything is its own next hop.
            && dst != route.gateway
            && eni.gateway != [0; 4]
    })
}

/// The interface of a new flow, by the hash of its client's endpoint. `None`: no interface takes part.
#[inline(always)]
pub fn pick<E: Env>(env: &E, hash: u64) -> Option<u32> {
    let mut total = 0;
    let mut slot = 0;
    while slot < MAX_INTERFACES {
        total += weight(env, slot);
        slot += 1;
    }
    if total == 0 {
        return None;
    }
    // The search for a port takes the lower half and the three highest bits.
    let mut left = (hash >> 32) as u32 % (1 << 29) % total;
    slot = 0;
    while slot < MAX_INTERFACES {
        let weight = weight(env, slot);
        if left < weight {
            return Some(slot);
        }
        left -= weight;
        slot += 1;
    }
    None
}

/// What an interface takes part with: nothing without an address.
#[inline(always)]
fn weight<E: Env>(env: &E, slot: u32) -> u32 {
    env.interface(slot)
        .filter(|interface| interface.addr != [0; 4])
        .and_then(|interface| env.eni(interface.ifindex))
        .map_or(0, |eni| eni.weight.into())
}
