//! Room in a table that is nearly full, also where nobody sweeps it.
//!
//! A program can't search a hash map for what has expired. So the keys of the flows that were opened last stand in a
//! ring (map `OPENED`), and a new flow in a nearly full table looks at a few of them, the oldest first, and takes the
//! place of one that has expired. Of a large table the ring has a quarter of the flows: without a daemon at least so many
//! places come back.

use crate::{
    env::{Env, Step},
    flow::FlowKey,
    life,
    settings::Settings,
};

/// Elements that a new flow looks at: a bound on what it costs in a table that is full of living ones.
const LOOKS: u32 = 8;
/// Up to so many flows, all of them are in the ring.
const SMALL: u32 = 4096;

/// Elements of the ring for a table of so many flows: a power of two.
#[must_use]
pub const fn ring(max_flows: u32) -> u32 {
    let elements = if max_flows <= SMALL {
        max_flows
    } else if max_flows / 4 > SMALL {
        max_flows / 4
    } else {
        SMALL
    };
    elements.next_power_of_two()
}

/// Notes a flow that was opened, in place of the one that was opened a ring ago.
#[inline(always)]
pub fn remember<E: Env>(env: &E, in_key: &FlowKey) {
    if let (Some(settings), Some(shared)) = (env.settings(), env.shared()) {
        env.remember(place(settings, shared.next_opened()), in_key);
    }
}

/// Removes a flow that has expired, if there is one among the next few of the ring.
#[inline(never)]
pub fn make_room<E: Env>(env: &E, now: u32) {
    env.repeat(LOOKS, &mut Look { env, now });
}

#[inline(always)]
fn place(settings: &Settings, number: u64) -> u32 {
    number as u32 & settings.ring_mask
}

struct Look<'a, E> {
    env: &'a E,
    now: u32,
}

impl<E: Env> Step for Look<'_, E> {
    #[inline(always)]
    fn turn(&mut self, _index: u32) -> bool {
        let Self { env, now } = *self;
        let (Some(settings), Some(shared)) = (env.settings(), env.shared()) else {
            return true;
        };
        env.remembered(place(settings, shared.next_looked()))
            .is_some_and(|in_key| life::bury(env, &in_key, now, false))
    }
}

#[cfg(test)]
mod tests {
    use super::ring;

    #[test]
    fn a_small_table_is_remembered_whole_and_a_large_one_by_a_quarter() {
        let rings = [1, 64, 100, 4096, 4097, 20_000, 1_048_576].map(ring);
        assert_eq!(rings, [1, 64, 128, 4096, 4096, 8192, 262_144]);
    }
}
