//! Which network interface (ENI) a connection of the host's own leaves by: the choice, and what may be chosen for.
//!
//! The mark chosen is the socket's for good, so a connection stays where it began whatever the weights become.

use core::{
    net::{Ipv4Addr, Ipv6Addr},
    ptr::NonNull,
};

use crate::atomic;

/// Most interfaces that share connections.
pub const MAX_SLOTS: usize = 16;

/// One interface's share of new connections.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// Mark of its connections' packets, for a rule `fwmark MARK/MASK lookup TABLE`; not 0.
    pub mark: u32,
    /// Its share of new connections, of the sum of all weights. 0: it gets none.
    pub weight: u32,
}

/// What is to be shared, and how: an element of map `BALANCE`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// The network namespace whose sockets are meant, as `SO_NETNS_COOKIE` tells it.
    pub cookie: u64,
    /// A hash of the object that the programs are from.
    pub object: u64,
    /// Bits of marks that are ours.
    pub mask: u32,
    /// Sum of the weights.
    pub total: u32,
    /// The interfaces. A weight of 0 is an unused place, too.
    pub slots: [Slot; MAX_SLOTS],
}

impl Balance {
    /// The mark that a random number stands for; `None` if no interface takes anything.
    #[inline(always)]
    #[must_use]
    pub fn choose(&self, random: u32) -> Option<u32> {
        // A fraction of the total, by multiplication: a remainder would favour the first ones.
        let mut left = ((u64::from(random) * u64::from(self.total)) >> 32) as u32;
        for slot in &self.slots {
            if left < slot.weight {
                return Some(slot.mark);
            }
            left -= slot.weight;
        }
        None
    }

    /// Whether a mark is one that was chosen here: only bits of the mask, and not none.
    #[inline(always)]
    #[must_use]
    pub fn is_ours(&self, mark: u32) -> bool {
        mark != 0 && mark & !self.mask == 0
    }
}

/// Whether a destination is where any interface leads to: not this host, this link or a group.
#[inline(always)]
#[must_use]
pub fn is_far(dst: Ipv4Addr) -> bool {
    !(dst.is_loopback()
        || dst.is_link_local()
        || dst.is_multicast()
        || dst.is_broadcast()
        || dst.is_unspecified())
}

/// As [`is_far`], of IPv6; an IPv4-mapped address is the IPv4 address.
#[inline(always)]
#[must_use]
pub fn is_far6(dst: Ipv6Addr) -> bool {
    match dst.to_ipv4_mapped() {
        Some(dst) => is_far(dst),
        None => {
            !(dst.is_loopback()
                || dst.is_unicast_link_local()
                || dst.is_multicast()
                || dst.is_unspecified())
        }
    }
}

/// Counts a choice.
///
/// # Safety
/// `counter` is an element of map `CHOSEN`: 8-byte aligned, and every concurrent access to it is atomic.
#[inline(always)]
pub unsafe fn count(counter: NonNull<u64>) {
    // SAFETY: the caller's.
    unsafe { atomic::add(counter.as_ptr(), 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balance(weights: &[u32]) -> Balance {
        let mut balance = Balance {
            mask: 0xff00_0000,
            total: weights.iter().sum(),
            ..Balance::default()
        };
        for (at, (slot, weight)) in balance.slots.iter_mut().zip(weights).enumerate() {
            *slot = Slot {
                mark: (at as u32 + 1) << 24,
                weight: *weight,
            };
        }
        balance
    }

    /// How many of 65,536 numbers, evenly spread, choose each slot.
    fn shares(weights: &[u32]) -> [u32; MAX_SLOTS] {
        let balance = balance(weights);
        let mut shares = [0; MAX_SLOTS];
        for random in 0..=u16::MAX {
            let mark = balance.choose(u32::from(random) << 16).unwrap();
            shares[(mark >> 24) as usize - 1] += 1;
        }
        shares
    }

    #[test]
    fn shares_are_as_the_weights() {
        assert_eq!(shares(&[3, 1])[..3], [49_152, 16_384, 0]);
        assert_eq!(shares(&[0, 7, 0, 7])[..4], [0, 32_768, 0, 32_768]);
        assert_eq!(shares(&[1; 16]), [4096; 16]);
    }

    #[test]
    fn the_largest_weights_leave_nobody_out() {
        assert_eq!(shares(&[u32::MAX - 1, 1])[0], 65_536);
        assert_eq!(
            balance(&[u32::MAX - 1, 1]).choose(u32::MAX),
            Some(0x0200_0000)
        );
    }

    #[test]
    fn without_weights_nothing_is_chosen() {
        for random in [0, 1, u32::MAX] {
            assert_eq!(balance(&[]).choose(random), None);
            assert_eq!(balance(&[0, 0]).choose(random), None);
        }
    }

    #[test]
    fn a_mark_with_any_other_bit_is_an_applications() {
        let balance = balance(&[1]);
        assert!(balance.is_ours(0x0100_0000));
        for mark in [0, 1, 0x0100_0001] {
            assert!(!balance.is_ours(mark), "{mark:#x}");
        }
    }

    #[test]
    fn this_host_this_link_and_groups_are_not_far() {
        for near in [
            "127.0.0.53",
            "169.254.169.254",
            "224.0.0.251",
            "255.255.255.255",
            "0.0.0.0",
        ] {
            assert!(!is_far(near.parse().unwrap()), "{near}");
        }
        for near in [
            "::1",
            "::",
            "fe80::1",
            "ff02::fb",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
        ] {
            assert!(!is_far6(near.parse().unwrap()), "{near}");
        }
        assert!(is_far(Ipv4Addr::new(203, 0, 113, 1)));
        for far in ["2001:db8::1", "fd00::1", "::ffff:203.0.113.1"] {
            assert!(is_far6(far.parse().unwrap()), "{far}");
        }
    }
}
