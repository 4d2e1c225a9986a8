//! Model of `[routing]`, `[[eni]]` and `[[rule]]`: what the policy routes should do.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::eni::Family;

/// All that the file says about policy routes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routing {
    /// First of the thousand rule priorities that are ours.
    pub priority: u32,
    /// Bits of the packet mark that are ours, for `weight`: at least four, all beside each other.
    pub mark_mask: u32,
    /// Destinations that the main table decides about whatever the source, besides those that are connected.
    pub bypass: Vec<IpNet>,
    /// The interfaces, in the file's order.
    pub enis: Vec<Eni>,
    /// Access rules, in the file's order: the first that matches counts.
    pub rules: Vec<AccessRule>,
}

impl Default for Routing {
    fn default() -> Self {
        Self {
            priority: 20_000,
            mark_mask: 0xff00_0000,
            bypass: Vec::new(),
            enis: Vec::new(),
            rules: Vec::new(),
        }
    }
}

/// One `[[eni]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eni {
    /// Which interface.
    pub matcher: Match,
    /// Its table; `None` for one that is allocated once and remembered by MAC.
    pub table: Option<u32>,
    /// IPv4 next hop.
    pub gateway: NextHop,
    /// IPv6 next hop.
    pub gateway6: NextHop,
    /// Metric of a default route in the main table; `None` for no such route.
    pub default_metric: Option<u32>,
    /// Prefixes delegated to the interface, besides its own addresses.
    pub prefixes: Vec<IpNet>,
    /// Packets with this mark leave by it: mark and mask.
    pub mark: Option<(u32, u32)>,
    /// Its share of new outbound connections; `None`: it takes no part.
    pub weight: Option<u32>,
    /// Line of the file where it begins.
    pub line: usize,
}

/// How an interface is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Match {
    /// By its name.
    Name(String),
    /// By its link-layer address.
    Mac([u8; 6]),
}

/// Value of `eni.gateway` and `eni.gateway6`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NextHop {
    /// That of the main table's default route by this interface, else the first address of the subnet.
    Auto,
    /// There is none: only connected prefixes are reached.
    None,
    /// This address.
    Addr(IpAddr),
}

/// One `[[rule]]`. What is left out matches everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRule {
    /// Source prefixes.
    pub source: Vec<IpNet>,
    /// Destination prefixes.
    pub destination: Vec<IpNet>,
    /// Interface that packets come in by; `lo`: what the host itself sends.
    pub interface: Option<String>,
    /// Protocol number.
    pub protocol: Option<u8>,
    /// First and last source port.
    pub source_ports: Option<(u16, u16)>,
    /// First and last destination port.
    pub destination_ports: Option<(u16, u16)>,
    /// Mark and mask.
    pub mark: Option<(u32, u32)>,
    /// What becomes of a packet that matches.
    pub verdict: RuleVerdict,
    /// Line of the file where it begins.
    pub line: usize,
}

/// `rule.lookup` or `rule.action`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleVerdict {
    /// The table of the `[[eni]]` whose match, shown as text, is this.
    Eni(String),
    /// This table.
    Table(u32),
    /// ICMP host unreachable.
    Unreachable,
    /// ICMP administratively prohibited.
    Prohibit,
    /// Silence.
    Blackhole,
}

impl AccessRule {
    /// The rules of the kernel that it takes, by family, source and destination; `None` is every address.
    pub fn selectors(&self) -> impl Iterator<Item = (Family, Option<IpNet>, Option<IpNet>)> {
        Family::ALL.into_iter().flat_map(move |family| {
            of_family(&self.source, family).flat_map(move |source| {
                of_family(&self.destination, family)
                    .map(move |destination| (family, source, destination))
            })
        })
    }
}

/// The prefixes of a family; `None` alone if there is no prefix at all. To the kernel everything is no prefix.
fn of_family(prefixes: &[IpNet], family: Family) -> impl Iterator<Item = Option<IpNet>> {
    let listed = prefixes
        .iter()
        .copied()
        .filter(move |prefix| Family::of(prefix.addr()) == family);
    let all = prefixes.is_empty().then_some(None);
    let or_all = |prefix: IpNet| (prefix.prefix_len() != 0).then_some(prefix);
    all.into_iter().chain(listed.map(or_all))
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Mac(mac) => f.write_str(&mac_text(*mac)),
        }
    }
}

/// `02:00:00:00:00:01`.
#[must_use]
pub fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Routing;
    use crate::config::File;

    #[test]
    fn what_is_written_as_json_is_read_as_the_same() {
        let text = "[routing]\nbypass=['10.8.0.0/16']\n\
                    [[eni]]\nmatch={name='eth1'}\ntable=7\ngateway='10.0.0.1'\ngateway6='none'\n\
                    default_metric=200\nprefixes=['2001:db8::/80']\nmark=1\n\
                    [[eni]]\nmatch={mac='02:00:00:00:00:0a'}\n\
                    [[rule]]\nsource=['10.0.0.0/8']\ninterface='lo'\nprotocol='tcp'\nsource_ports=1\n\
                    destination_ports='2-3'\nmark='1/3'\nlookup='eth1'\n\
                    [[rule]]\nprotocol=2\nlookup=7\n[[rule]]\nprotocol=2\naction='unreachable'\n\
                    [[rule]]\nprotocol=2\naction='prohibit'\n[[rule]]\nprotocol=2\naction='blackhole'";
        let routing = File::parse(text, Path::new("t.toml"))
            .unwrap()
            .routing
            .unwrap();
        let json = serde_json::to_string(&routing).unwrap();
        assert_eq!(serde_json::from_str::<Routing>(&json).unwrap(), routing);
    }
}
