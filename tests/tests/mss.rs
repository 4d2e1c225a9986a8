//! A SYN offers no larger segments than the way takes, in either direction, and is never made to offer more.

use std::{
    net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    capture::{Heard, Tap},
    netns::Netns,
    raw::Packet,
    scene::{Plan, Scene},
    segment::{SYN, Segment},
    wait,
};

const PATIENCE: Duration = Duration::from_secs(10);
const PORT: u16 = 5001;
/// What the hosts offer: their links take 1500.
const OFFERED: u16 = 1460;

macro_rules! tests {
    ($($name:ident: $datapath:literal, $clamp:literal, $mtu:literal, $expected:expr;)+) => {
        $(#[test]
        fn $name() -> Result<()> {
            both_offer($datapath, $clamp, $mtu, $expected)
        })+
    };
}

tests! {
    by_itself_the_mss_is_what_the_smaller_link_takes_tc: "tc", "", 1400, 1360;
    by_itself_the_mss_is_what_the_smaller_link_takes_xdp: "xdp", "", 1400, 1360;
    by_itself_the_mss_stays_where_the_links_take_it_tc: "tc", "mss_clamp = \"auto\"", 1500, OFFERED;
    a_configured_mss_is_not_exceeded_tc: "tc", "mss_clamp = 1200", 1500, 1200;
    a_configured_mss_is_not_exceeded_xdp: "xdp", "mss_clamp = 1200", 1500, 1200;
    a_configured_mss_raises_none_tc: "tc", "mss_clamp = 9000", 1500, OFFERED;
    a_clamp_turned_off_leaves_the_mss_alone_tc: "tc", "mss_clamp = \"off\"", 1400, OFFERED;
}

fn both_offer(datapath: &str, clamp: &str, mtu: u16, expected: u16) -> Result<()> {
    let plan = Plan {
        gateway: clamp,
        ..Plan::routed(datapath)
    };
    let Scene { topology, gateway } = plan.start()?;
    let narrow = |netns: &Netns, dev: &str| netns.ip(&format!("link set {dev} mtu {mtu}"));
    narrow(&topology.gateway.netns, "eth0")?;
    narrow(&topology.fabric[1], "gw")?;

    let (client, server) = (&topology.clients[0], &topology.server);
    let addr = SocketAddrV4::new(server.addr, PORT);
    let _listener = server.netns.enter(|| Ok(TcpListener::bind(addr)?))?;
    // Until the gateway has heard of its link.
    wait::until(PATIENCE, "both offer what they should", || {
        let back = Tap::open(&client.netns, "eth0")?;
        let there = offered(&server.netns, || {
            let connect = || Ok(TcpStream::connect_timeout(&addr.into(), PATIENCE)?);
            client.netns.enter(connect).map(drop)
        })?;
        let answered = syn(&back)?;
        ensure!(
            (there, answered) == (expected, expected),
            "{there} there and {answered} back"
        );
        Ok(())
    })?;
    let odd = offered(&server.netns, || {
        odd_syn(client.addr, server.addr).send(&client.netns)
    })?;
    ensure!(odd == expected, "{odd}");
    drop(gateway);
    Ok(())
}

/// A SYN whose MSS stands behind an odd number of bytes.
fn odd_syn(client: Ipv4Addr, server: Ipv4Addr) -> Packet {
    let mut segment = Segment::new(
        SocketAddrV4::new(client, 4000),
        SocketAddrV4::new(server, 9),
        SYN,
    );
    segment.options = vec![1, 2, 4, 0x05, 0xb4, 0, 0, 0];
    segment.packet()
}

/// The MSS of the next SYN that reaches a host when this is done.
fn offered(netns: &Netns, act: impl FnOnce() -> Result<()>) -> Result<u16> {
    let tap = Tap::open(netns, "eth0")?;
    act()?;
    syn(&tap)
}

fn syn(tap: &Tap) -> Result<u16> {
    let syn = tap.next("a SYN", PATIENCE, |heard| {
        let is_syn = heard.protocol() == 6 && heard.payload()[13] & SYN != 0;
        is_syn.then(|| heard.clone())
    })?;
    syn.expect_sound()?;
    mss(&syn).context("a SYN without MSS")
}

fn mss(syn: &Heard) -> Option<u16> {
    let header = usize::from(syn.payload()[12] >> 4) * 4;
    let mut options = syn.payload().get(20..header)?;
    loop {
        match *options {
            [2, 4, high, low, ..] => return Some(u16::from_be_bytes([high, low])),
            [1, ref rest @ ..] => options = rest,
            [0, ..] | [] => return None,
            [_, len, ..] => options = options.get(usize::from(len).max(2)..)?,
            [_] => return None,
        }
    }
}
