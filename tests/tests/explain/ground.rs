//! A network with everything in it that a packet can meet, and who sends and hears there.

use std::{
    any::Any,
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use snat_ctl::datapath::{Pins, totals};
use snat_tests::{
    capture::Tap,
    gateway::Gateway,
    link::{connect, end, offloads_off, receive_from_xdp},
    ping::ping,
    topology::{Offloads, Shape, Topology, unique_prefix},
    wait,
};

use crate::packets::{Case, Side, recognise};

/// The way out takes no more; the clients' network takes 1500.
pub(crate) const MTU: u16 = 1400;
/// Nor does the way to this client.
pub(crate) const NARROW: ([u8; 4], u16) = ([172, 16, 1, 13], 1300);
pub(crate) const GATEWAY: [u8; 4] = [172, 16, 1, 1];
const BESIDE: [u8; 4] = [192, 0, 2, 10];
pub(crate) const EXTERNAL: [u8; 4] = [203, 0, 113, 10];
/// A UDP socket of the gateway's own waits there.
pub(crate) const OWN_SOCKET: u16 = 9999;
/// Nobody has this address.
pub(crate) const NOBODY: [u8; 4] = [203, 0, 113, 99];

/// How long a packet takes through the programs of a busy machine.
const PATIENCE: Duration = Duration::from_secs(2);
/// Where a packet was heard, and its ends there.
pub(crate) type Heard = (Side, SocketAddrV4, SocketAddrV4);

pub(crate) struct Ground {
    pub(crate) gateway: Gateway,
    wires: Vec<Wire>,
    /// The network, and what else is to last as long.
    _kept: Box<dyn Any>,
}

/// An interface of the gateway, from the other end.
pub(crate) struct Wire {
    pub(crate) side: Side,
    /// Its name.
    pub(crate) interface: &'static str,
    /// Its link-layer address.
    pub(crate) station: [u8; 6],
    /// Who sends to it.
    pub(crate) from: Tap,
    /// What it sends.
    pub(crate) heard: Tap,
}

impl Ground {
    /// Starts the gateway with these sections, in which `NAME` and `DATAPATH` are filled in.
    pub(crate) fn start(datapath: &str, config: &str) -> Result<Self> {
        let prefix = unique_prefix();
        let topology = Topology::build(Shape::Routed, Offloads::Off, &prefix)?;
        furnish(&topology)?;
        let own = topology
            .gateway
            .netns
            .enter(|| Ok(UdpSocket::bind(("0.0.0.0", OWN_SOCKET))?))?;
        let name = format!("{prefix}ex");
        let config = config.replace("NAME", &name).replace("DATAPATH", datapath);
        let gateway = Gateway::start_with(&topology, &name, &config)?;
        meet(&topology)?;
        let wires = vec![
            inside(&topology, "eth1")?,
            outside(&topology, Side::Outside, "eth0", "gw", EXTERNAL)?,
            outside(&topology, Side::Beside, "eth9", "beside", BESIDE)?,
        ];
        Self::of(gateway, wires, Box::new((topology, own)))
    }

    /// Of a gateway that is started. Ends its daemon: nothing but packets changes the tables then.
    pub(crate) fn of(mut gateway: Gateway, wires: Vec<Wire>, kept: Box<dyn Any>) -> Result<Self> {
        gateway.stop()?;
        Ok(Self {
            gateway,
            wires,
            _kept: kept,
        })
    }

    /// What `explain` says of a packet.
    pub(crate) fn explain(&self, case: &Case) -> Result<Value> {
        let question = case.question(self.wire(case.side)?.interface);
        let words: Vec<_> = question.iter().map(String::as_str).collect();
        self.gateway.ctl_json(&words)
    }

    /// Sends it, with its number.
    pub(crate) fn send(&self, case: &Case, number: u32) -> Result<()> {
        let wire = self.wire(case.side)?;
        wire.from.send(wire.station, &case.bytes(number)?)
    }

    /// The side that an interface is on.
    pub(crate) fn side_of(&self, interface: &str) -> Option<Side> {
        let wire = self.wires.iter().find(|wire| wire.interface == interface);
        wire.map(|wire| wire.side)
    }

    fn wire(&self, side: Side) -> Result<&Wire> {
        let wire = self.wires.iter().find(|wire| wire.side == side);
        wire.with_context(|| format!("nothing is {side:?}"))
    }

    /// How many packets of each verdict there were. ARP and the like have nothing to do with it.
    pub(crate) fn counted(&self) -> Result<BTreeMap<&'static str, u64>> {
        let totals = totals(&Pins::of(self.gateway.name()))?;
        let counted = totals
            .into_iter()
            .map(|(name, (packets, _))| (name, packets));
        Ok(counted.filter(|(name, _)| *name != "not_ipv4").collect())
    }

    /// Waits until the counters have moved from `before` by `expected`, and by nothing else.
    pub(crate) fn expect_counted(
        &self,
        before: &BTreeMap<&'static str, u64>,
        expected: &BTreeMap<String, u64>,
    ) -> Result<()> {
        wait::every(Duration::from_millis(1), PATIENCE, "its counters", || {
            let moved = moved(before, &self.counted()?);
            ensure!(
                moved == *expected,
                "it was counted as {moved:?}, not as {expected:?}"
            );
            Ok(())
        })
    }

    /// What was heard of each case, by its number.
    pub(crate) fn heard(&self) -> Result<BTreeMap<u32, Vec<Heard>>> {
        let mut heard: BTreeMap<u32, Vec<Heard>> = BTreeMap::new();
        for wire in &self.wires {
            for (number, src, dst) in wire.heard.all(recognise)? {
                heard.entry(number).or_default().push((wire.side, src, dst));
            }
        }
        Ok(heard)
    }
}

/// The clients' end of an interface.
pub(crate) fn inside(topology: &Topology, interface: &'static str) -> Result<Wire> {
    let [lan, _] = fabric(topology)?;
    Ok(Wire {
        side: Side::Inside,
        interface,
        station: station(GATEWAY),
        from: Tap::open(&topology.clients[0].netns, "eth0")?,
        heard: Tap::open(lan, "gw")?,
    })
}

/// The router's end of an interface, which is `peer`; its link-layer address shows `addr`.
pub(crate) fn outside(
    topology: &Topology,
    side: Side,
    interface: &'static str,
    peer: &str,
    addr: [u8; 4],
) -> Result<Wire> {
    let [_, isp] = fabric(topology)?;
    Ok(Wire {
        side,
        interface,
        station: station(addr),
        from: Tap::open(isp, peer)?,
        heard: Tap::open(isp, peer)?,
    })
}

const fn station([a, b, c, d]: [u8; 4]) -> [u8; 6] {
    [2, 0, a, b, c, d]
}

fn moved(
    before: &BTreeMap<&'static str, u64>,
    now: &BTreeMap<&'static str, u64>,
) -> BTreeMap<String, u64> {
    let moved = now
        .iter()
        .map(|(name, packets)| ((*name).to_owned(), packets - before[name]));
    moved.filter(|(_, packets)| *packets > 0).collect()
}

/// Addresses, routes of all kinds, an interface that is not managed, a narrow way.
fn furnish(topology: &Topology) -> Result<()> {
    quiet(topology)?;
    let [_, isp] = fabric(topology)?;
    let gw = &topology.gateway.netns;
    connect(
        end(gw, "eth9", BESIDE, 24),
        end(isp, "beside", [192, 0, 2, 1], 24),
    )?;
    offloads_off(gw, "eth9")?;
    offloads_off(isp, "beside")?;
    receive_from_xdp(isp, "beside")?;
    let [a, b, c, d] = NARROW.0;
    let [n1, n2, n3, n4] = NOBODY;
    gw.ip(&format!(
        "link set eth0 mtu {MTU}
         addr add 203.0.113.11/24 dev eth0
         addr add 203.0.113.12/24 dev eth0
         addr add 203.0.113.13/24 dev eth0
         route add 172.16.0.0/16 dev eth1
         route add {a}.{b}.{c}.{d}/32 dev eth1 mtu lock {}
         route add 10.9.0.0/16 via 172.16.1.12
         route add 198.18.0.0/24 via {n1}.{n2}.{n3}.{n4}
         route add unreachable 100.64.0.0/16
         route add blackhole 100.65.0.0/16",
        NARROW.1
    ))?;
    isp.ip("addr add 192.0.2.5/32 dev beside")?;
    topology.clients[0]
        .netns
        .ip("addr add 172.16.1.13/32 dev eth0
         addr add 172.16.3.5/32 dev eth0
         addr add 172.16.3.6/32 dev eth0
         addr add 172.16.5.5/32 dev eth0
         addr add 172.16.5.6/32 dev eth0
         addr add 172.16.7.5/32 dev eth0")
}

/// Nothing passes that nobody has sent.
pub(crate) fn quiet(topology: &Topology) -> Result<()> {
    topology
        .namespaces()
        .try_for_each(|netns| netns.sysctl("net/ipv6/conf/all/disable_ipv6", "1"))
}

/// Has everybody's link-layer address found; then nothing is answered any more.
fn meet(topology: &Topology) -> Result<()> {
    let gw = &topology.gateway.netns;
    for last in [11, 12, 13] {
        ping(gw, Ipv4Addr::new(172, 16, 1, last), 9, 1)?;
    }
    for client in [
        "172.16.3.5",
        "172.16.3.6",
        "172.16.5.5",
        "172.16.5.6",
        "172.16.7.5",
    ] {
        let client: Ipv4Addr = client.parse()?;
        ping(gw, client, 9, 1)?;
    }
    ping(gw, topology.server.addr, 9, 1)?;
    deafen(topology)
}

/// Everybody but the gateway hears nothing, and so says nothing.
pub(crate) fn deafen(topology: &Topology) -> Result<()> {
    let [_, isp] = fabric(topology)?;
    for netns in [&topology.clients[0].netns, &topology.clients[1].netns, isp] {
        netns.nft(
            "table ip deaf {
                 chain in { type filter hook prerouting priority raw; policy drop; }
             }",
        )?;
    }
    Ok(())
}

fn fabric(topology: &Topology) -> Result<[&snat_tests::netns::Netns; 2]> {
    match &topology.fabric[..] {
        [lan, isp] => Ok([lan, isp]),
        _ => None.context("another topology"),
    }
}
