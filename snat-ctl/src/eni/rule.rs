//! A rule of the kernel's policy routing database.

use std::fmt;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Family;

/// What `ip rule` shows in a line. Two that are equal are the same rule to the kernel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rule {
    /// `FRA_PRIORITY`: the lowest is asked first.
    pub priority: u32,
    /// IPv4 or IPv6.
    pub family: Family,
    /// `FRA_PROTOCOL`: who made it.
    pub protocol: u8,
    /// `not`: holds for what does not match.
    pub inverted: bool,
    /// Source prefix; `None` for all.
    pub source: Option<IpNet>,
    /// Destination prefix; `None` for all.
    pub destination: Option<IpNet>,
    /// Interface that the packet came in by; `lo` is what the host sends itself.
    pub iif: Option<String>,
    /// Interface that the sending socket is bound to.
    pub oif: Option<String>,
    /// Mark and mask.
    pub mark: Option<(u32, u32)>,
    /// Protocol number of the packet.
    pub ip_protocol: Option<u8>,
    /// First and last source port.
    pub source_ports: Option<(u16, u16)>,
    /// First and last destination port.
    pub destination_ports: Option<(u16, u16)>,
    /// `suppress_prefixlength`: a route found with at most this prefix length does not count.
    pub suppress_prefix_length: Option<u32>,
    /// What becomes of the packet.
    pub action: Action,
    /// What there is of it that we don't speak: such a rule is somebody else's, shown by these words.
    pub unknown: Vec<String>,
}

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Look the route up in this table.
    Lookup(u32),
    /// ICMP net unreachable; `ENETUNREACH` to the host itself (`fib4_rule_action`, `fib6_rule_action`).
    Unreachable,
    /// ICMP administratively prohibited; `EACCES`.
    Prohibit,
    /// Silence; `EINVAL`.
    Blackhole,
    /// Another one (`goto`, `nop`), by its number in `fib_rules.h`.
    Other(u8),
}

impl Rule {
    /// One that matches everything.
    #[must_use]
    pub const fn new(family: Family, priority: u32, protocol: u8, action: Action) -> Self {
        Self {
            priority,
            family,
            protocol,
            inverted: false,
            source: None,
            destination: None,
            iif: None,
            oif: None,
            mark: None,
            ip_protocol: None,
            source_ports: None,
            destination_ports: None,
            suppress_prefix_length: None,
            action,
            unknown: Vec::new(),
        }
    }

    /// As a command for `ip`; `verb` is `add` or `del`.
    #[must_use]
    pub fn command(&self, verb: &str) -> String {
        let (family, protocol) = (self.family.option(), self.protocol);
        format!("ip {family} rule {verb} {self} protocol {protocol}")
    }
}

/// The words behind `ip [-6] rule add`, without the protocol.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            priority,
            family: _,
            protocol: _,
            inverted,
            source,
            destination,
            iif,
            oif,
            mark,
            ip_protocol,
            source_ports,
            destination_ports,
            suppress_prefix_length,
            action,
            unknown,
        } = self;
        if *inverted {
            f.write_str("not ")?;
        }
        match source {
            Some(source) => write!(f, "from {}", Short(source))?,
            None => f.write_str("from all")?,
        }
        if let Some(destination) = destination {
            write!(f, " to {}", Short(destination))?;
        }
        if let Some((mark, mask)) = mark {
            write!(f, " fwmark {mark:#x}")?;
            if *mask != u32::MAX {
                write!(f, "/{mask:#x}")?;
            }
        }
        if let Some(iif) = iif {
            write!(f, " iif {iif}")?;
        }
        if let Some(oif) = oif {
            write!(f, " oif {oif}")?;
        }
        if let Some(protocol) = ip_protocol {
            write!(f, " ipproto {protocol}")?;
        }
        for (word, ports) in [("sport", source_ports), ("dport", destination_ports)] {
            match ports {
                Some((first, last)) if first == last => write!(f, " {word} {first}")?,
                Some((first, last)) => write!(f, " {word} {first}-{last}")?,
                None => {}
            }
        }
        for word in unknown {
            write!(f, " {word}")?;
        }
        match action {
            Action::Lookup(table) => write!(f, " lookup {table}")?,
            Action::Unreachable => f.write_str(" unreachable")?,
            Action::Prohibit => f.write_str(" prohibit")?,
            Action::Blackhole => f.write_str(" blackhole")?,
            Action::Other(number) => write!(f, " action-{number}")?,
        }
        if let Some(length) = suppress_prefix_length {
            write!(f, " suppress_prefixlength {length}")?;
        }
        write!(f, " priority {priority}")
    }
}

/// A prefix as `ip` writes it: a single address without its length.
pub(super) struct Short<'a>(pub(super) &'a IpNet);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            self.0.addr().fmt(f)
        } else {
            self.0.fmt(f)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Family, Rule};

    #[test]
    fn a_rule_reads_as_ip_takes_it() {
        let mut rule = Rule::new(Family::Inet, 20_400, 201, Action::Lookup(1001));
        assert_eq!(rule.to_string(), "from all lookup 1001 priority 20400");
        rule.source = "172.16.20.193/32".parse().ok();
        rule.destination = "10.0.0.0/8".parse().ok();
        rule.mark = Some((0x10, 0xff));
        rule.iif = Some("eth1".to_owned());
        rule.ip_protocol = Some(6);
        rule.destination_ports = Some((443, 443));
        rule.source_ports = Some((1024, 2047));
        rule.suppress_prefix_length = Some(0);
        assert_eq!(
            rule.to_string(),
            "from 172.16.20.193 to 10.0.0.0/8 fwmark 0x10/0xff iif eth1 ipproto 6 sport 1024-2047 \
             dport 443 lookup 1001 suppress_prefixlength 0 priority 20400"
        );
    }
}
