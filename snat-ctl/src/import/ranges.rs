//! Sets of numbers: IPv4 addresses, ports, protocols.

use std::net::Ipv4Addr;

use ipnet::{Ipv4Net, Ipv4Subnets};

/// Ascending ranges, ends included, that neither overlap nor touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ranges(Vec<(u32, u32)>);

impl Ranges {
    pub(super) const fn none() -> Self {
        Self(Vec::new())
    }

    /// 0 to `last`.
    pub(super) fn up_to(last: u32) -> Self {
        Self(vec![(0, last)])
    }

    /// Every IPv4 address.
    pub(super) fn everywhere() -> Self {
        Self::up_to(u32::MAX)
    }

    pub(super) fn of(mut ranges: Vec<(u32, u32)>) -> Self {
        ranges.retain(|(first, last)| first <= last);
        ranges.sort_unstable();
        let mut joined: Vec<(u32, u32)> = Vec::new();
        for (first, last) in ranges {
            match joined.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => {
                    before.1 = before.1.max(last);
                }
                _ => joined.push((first, last)),
            }
        }
        Self(joined)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many numbers.
    pub(super) fn size(&self) -> u64 {
        let size = |(first, last): &(u32, u32)| u64::from(*last) - u64::from(*first) + 1;
        self.0.iter().map(size).sum()
    }

    pub(super) fn covers(&self, other: &Self) -> bool {
        other.without(self).is_empty()
    }

    pub(super) fn meets(&self, other: &Self) -> bool {
        !self.and(other).is_empty()
    }

    pub(super) fn and(&self, other: &Self) -> Self {
        let mut both = Vec::new();
        for (first, last) in &self.0 {
            for (other_first, other_last) in &other.0 {
                both.push((*first.max(other_first), *last.min(other_last)));
            }
        }
        Self::of(both)
    }

    pub(super) fn or(&self, other: &Self) -> Self {
        Self::of([&self.0[..], &other.0[..]].concat())
    }

    pub(super) fn without(&self, other: &Self) -> Self {
        let mut left = self.0.clone();
        for (cut_first, cut_last) in &other.0 {
            let mut next = Vec::new();
            for (first, last) in left {
                if *cut_last < first || *cut_first > last {
                    next.push((first, last));
                    continue;
                }
                if *cut_first > first {
                    next.push((first, cut_first - 1));
                }
                if *cut_last < last {
                    next.push((cut_last + 1, last));
                }
            }
            left = next;
        }
        Self(left)
    }

    /// The numbers, one by one.
    pub(super) fn each(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().flat_map(|(first, last)| *first..=*last)
    }

    /// As addresses: the fewest prefixes.
    pub(super) fn prefixes(&self) -> Vec<Ipv4Net> {
        let subnets = |(first, last): &(u32, u32)| {
            Ipv4Subnets::new(Ipv4Addr::from(*first), Ipv4Addr::from(*last), 0)
        };
        self.0.iter().flat_map(subnets).collect()
    }
}

impl From<Ipv4Net> for Ranges {
    fn from(net: Ipv4Net) -> Self {
        Self(vec![(net.network().into(), net.broadcast().into())])
    }
}

/// An address, prefix (its length, or a netmask) or range `first-last`.
pub(super) fn addresses(text: &str) -> Option<(u32, u32)> {
    if let Some((first, last)) = text.split_once('-') {
        let addr = |text: &str| text.trim().parse::<Ipv4Addr>().ok().map(u32::from);
        return Some((addr(first)?, addr(last)?)).filter(|(first, last)| first <= last);
    }
    let (addr, len) = text.split_once('/').unwrap_or((text, "32"));
    let addr: Ipv4Addr = addr.parse().ok()?;
    let net = match len.parse::<Ipv4Addr>() {
        Ok(mask) => Ipv4Net::with_netmask(addr, mask).ok()?,
        Err(_) => Ipv4Net::new(addr, len.parse().ok()?).ok()?,
    };
    Some((net.network().into(), net.broadcast().into()))
}

/// A port or a range of them, with `-` or `:` between.
pub(super) fn ports(text: &str) -> Option<(u32, u32)> {
    let (first, last) = text.split_once(['-', ':']).unwrap_or((text, text));
    let port = |text: &str, none: u32| match text.trim() {
        "" => Some(none),
        text => text.parse::<u16>().map(u32::from).ok(),
    };
    let ends = (port(first, 0)?, port(last, 65_535)?);
    (ends.0 <= ends.1 && !text.is_empty()).then_some(ends)
}

#[cfg(test)]
mod tests {
    use super::{Ranges, addresses, ports};

    fn set(texts: &[&str]) -> Ranges {
        Ranges::of(texts.iter().map(|text| addresses(text).unwrap()).collect())
    }

    #[test]
    fn what_is_cut_out_of_a_prefix_leaves_prefixes_again() {
        let left = set(&["10.0.0.0/8"]).without(&set(&["10.1.0.0/16"]));
        let all: u64 = left
            .prefixes()
            .iter()
            .map(|net| 1 << (32 - net.prefix_len()))
            .sum();
        assert_eq!(all, (1 << 24) - (1 << 16));
        assert_eq!(left.prefixes().len(), 8);
        assert!(!left.meets(&set(&["10.1.255.255"])) && left.covers(&set(&["10.2.0.0"])));
        assert!(
            Ranges::everywhere()
                .without(&set(&["0.0.0.0/0"]))
                .is_empty()
        );
    }

    #[test]
    fn neighbours_join_and_both_ends_of_the_address_space_are_there() {
        assert_eq!(set(&["10.0.0.0/9", "10.128.0.0/9"]), set(&["10.0.0.0/8"]));
        let ends = set(&["0.0.0.0", "255.255.255.255"]);
        assert_eq!(Ranges::everywhere().without(&ends).size(), (1 << 32) - 2);
        assert_eq!(ends.or(&Ranges::everywhere()).size(), 1 << 32);
    }

    #[test]
    fn addresses_and_ports_are_read_in_each_way_that_tools_write_them() {
        assert_eq!(addresses("10.0.0.0/255.0.0.0"), addresses("10.0.0.0/8"));
        assert_eq!(
            addresses("10.0.0.0-10.255.255.255"),
            addresses("10.9.9.9/8")
        );
        for wrong in [
            "",
            "10.0.0",
            "10.0.0.0/33",
            "10.0.0.2-10.0.0.1",
            "fd00::/8",
            "/",
        ] {
            assert_eq!(addresses(wrong), None, "{wrong:?}");
        }
        assert_eq!(ports("1024:"), Some((1024, 65_535)));
        assert_eq!(
            (ports("80"), ports("80-90")),
            (Some((80, 80)), Some((80, 90)))
        );
        for wrong in ["", "90-80", "65536", "http"] {
            assert_eq!(ports(wrong), None, "{wrong:?}");
        }
    }
}
