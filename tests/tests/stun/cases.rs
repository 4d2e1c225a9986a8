//! The kinds of NAT, side by side in one gateway: each is an entry with clients and an external address of its own.

use std::{fmt::Write as _, net::Ipv4Addr};

use anyhow::Result;
use snat_tests::{
    stun::{Filtering, Mapping},
    topology::{Offloads, Shape, Topology, unique_prefix},
};

/// `mapping` in the configuration, and what it is to be.
pub(crate) const MAPPINGS: [(&str, Mapping); 3] = [
    ("endpoint-independent", Mapping::EndpointIndependent),
    (
        "address-and-port-dependent",
        Mapping::AddressAndPortDependent,
    ),
    // While there are ports enough.
    ("auto", Mapping::EndpointIndependent),
];

/// `filtering` in the configuration, and what it is to be.
const FILTERINGS: [(&str, Filtering); 3] = [
    ("endpoint-independent", Filtering::EndpointIndependent),
    ("address-dependent", Filtering::AddressDependent),
    (
        "address-and-port-dependent",
        Filtering::AddressAndPortDependent,
    ),
];

/// One kind of NAT.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// In the configuration.
    pub(crate) keys: [&'static str; 2],
    /// What clients must find.
    pub(crate) mapping: Mapping,
    /// What clients must find.
    pub(crate) filtering: Filtering,
    number: u8,
}

impl Case {
    /// Of the `number`th kind, which chooses its addresses.
    pub(crate) fn new(
        number: u8,
        (mapping_key, mapping): (&'static str, Mapping),
        (filtering_key, filtering): (&'static str, Filtering),
    ) -> Self {
        Self {
            keys: [mapping_key, filtering_key],
            mapping,
            // A port that is no client's own can't be opened to others: such an entry has but one filtering.
            filtering: match mapping {
                Mapping::EndpointIndependent => filtering,
                Mapping::AddressAndPortDependent => Filtering::AddressAndPortDependent,
            },
            number,
        }
    }

    /// Its addresses in the first and in the second client.
    pub(crate) fn clients(&self) -> [Ipv4Addr; 2] {
        [100, 150].map(|base| Ipv4Addr::new(172, 16, 1, base + self.number))
    }

    /// Its address as servers see it.
    pub(crate) fn external(&self) -> Ipv4Addr {
        Ipv4Addr::new(203, 0, 113, 100 + self.number)
    }

    /// The same as the gateway knows it: in one-arm the edge maps one to the other.
    fn own(&self, shape: Shape) -> Ipv4Addr {
        match shape {
            Shape::OneArm => Ipv4Addr::new(172, 16, 0, 100 + self.number),
            Shape::Routed | Shape::TwoEnis => self.external(),
        }
    }
}

/// Each of `mappings` with each filtering.
pub(crate) fn all(mappings: &[(&'static str, Mapping)]) -> Vec<Case> {
    mappings
        .iter()
        .flat_map(|mapping| FILTERINGS.map(|filtering| (*mapping, filtering)))
        .zip(1..)
        .map(|((mapping, filtering), number)| Case::new(number, mapping, filtering))
        .collect()
}

/// The STUN server's addresses.
pub(crate) fn servers(topology: &Topology) -> [Ipv4Addr; 2] {
    [topology.server.addr, Ipv4Addr::new(198, 51, 100, 21)]
}

/// A network with all these addresses.
pub(crate) fn network(shape: Shape, cases: &[Case]) -> Result<Topology> {
    let topology = Topology::build(shape, Offloads::Off, &unique_prefix())?;
    let [_, other] = servers(&topology);
    let server = &topology.server.netns;
    server.ip(&format!("addr add {other}/24 dev eth0"))?;
    let [mut first, mut second, mut gateway, mut edge] = [const { String::new() }; 4];
    for case in cases {
        let clients = case.clients();
        let (own, external) = (case.own(shape), case.external());
        writeln!(first, "addr add {}/24 dev eth0", clients[0])?;
        writeln!(second, "addr add {}/24 dev eth0", clients[1])?;
        writeln!(gateway, "addr add {own}/24 dev eth0")?;
        writeln!(
            edge,
            "add rule ip eip in iifname internet ip daddr {external} ip daddr set {own}
             add rule ip eip out oifname internet ip saddr {own} ip saddr set {external}"
        )?;
    }
    topology.clients[0].netns.ip(&first)?;
    topology.clients[1].netns.ip(&second)?;
    topology.gateway.netns.ip(&gateway)?;
    if shape == Shape::OneArm {
        topology.fabric[1].nft(&edge)?;
    }
    Ok(topology)
}

/// The configuration that makes the gateway be all of them.
pub(crate) fn config(topology: &Topology, name: &str, datapath: &str, cases: &[Case]) -> String {
    let interfaces = topology.interfaces;
    let shape = if interfaces.len() == 1 {
        Shape::OneArm
    } else {
        Shape::Routed
    };
    let mut config = format!(
        r#"[gateway]
name       = "{name}"
interfaces = {interfaces:?}
datapath   = "{datapath}"
max_flows  = 65_536

[[bypass]]
destination = ["172.16.0.0/12"]
"#
    );
    for case in cases {
        let ([first, second], own) = (case.clients(), case.own(shape));
        let [mapping, filtering] = case.keys;
        config += &format!(
            r#"
[[snat]]
name      = "case{}"
source    = ["{first}/32", "{second}/32"]
external  = ["{own}"]
mapping   = "{mapping}"
filtering = "{filtering}"
"#,
            case.number
        );
    }
    config
}
