//! The programs with which people look for a fault work through the gateway: each shows every router on the
//! way, the gateway among them, and the target (RFC 5508 REQ-4, RFC 1812 section 4.3).

use std::{net::Ipv4Addr, thread};

use anyhow::{Context as _, Result, bail, ensure};
use snat_tests::{
    capture::Capture,
    gateway::Gateway,
    http::HttpServer,
    netns::Netns,
    path::{self, Path},
    topology::{Offloads, Shape, Topology, unique_prefix},
    traffic::HTTP,
};

const WIDE: u32 = 1500;
/// Of the last link.
const SMALL: u32 = 1400;

macro_rules! everywhere {
    ($($name:ident: $datapath:literal, $shape:ident;)+) => {
        $(#[test]
        fn $name() -> Result<()> {
            every_hop_is_shown($datapath, Shape::$shape)
        })+
    };
}

everywhere! {
    traceroute_mtr_and_tracepath_show_every_hop_xdp_routed: "xdp", Routed;
    traceroute_mtr_and_tracepath_show_every_hop_xdp_one_arm: "xdp", OneArm;
    traceroute_mtr_and_tracepath_show_every_hop_tc_routed: "tc", Routed;
    traceroute_mtr_and_tracepath_show_every_hop_tc_one_arm: "tc", OneArm;
}

fn every_hop_is_shown(datapath: &str, shape: Shape) -> Result<()> {
    let prefix = unique_prefix();
    let topology = Topology::build(shape, Offloads::Off, &prefix)?;
    // A kernel answers six of one host's probes at once, and then one a second: not what is asked here.
    for netns in topology.namespaces() {
        netns.sysctl("net/ipv4/icmp_ratelimit", "0")?;
    }
    if shape == Shape::OneArm {
        fabric_minds_icmp_errors(&topology)?;
    }
    let gateway = Gateway::start(&topology, &format!("{prefix}path"), datapath)?;
    every_program(&topology).with_context(|| {
        let status = gateway
            .ctl(&["status"])
            .unwrap_or_else(|error| format!("{error:#}"));
        format!("snat-ctl status:\n{status}")
    })
}

fn every_program(topology: &Topology) -> Result<()> {
    let _http = HttpServer::start(&topology.server.netns, HTTP)?;
    let outside = Capture::start(&topology.server.netns, "eth0")?;

    let port = HTTP.to_string();
    let (traceroute, mtr) = (path::traceroute, path::mtr);
    all_see(
        topology,
        &[
            ("traceroute, UDP", &|client, target| {
                traceroute(client, &[], target)
            }),
            ("traceroute, UDP to one port", &|client, target| {
                traceroute(client, &["-U"], target)
            }),
            ("traceroute, ICMP", &|client, target| {
                traceroute(client, &["-I"], target)
            }),
            ("traceroute, TCP", &|client, target| {
                traceroute(client, &["-T", "-p", &port], target)
            }),
            ("mtr, ICMP", &|client, target| mtr(client, &[], target)),
            ("mtr, UDP", &|client, target| {
                mtr(client, &["--udp"], target)
            }),
            ("mtr, TCP", &|client, target| {
                mtr(client, &["--tcp", "-P", &port], target)
            }),
        ],
    )?;

    let tracepath = |mtu| -> Result<()> {
        let seen = path::tracepath(&topology.clients[1].netns, topology.server.addr)?;
        let hops = way(topology).into_iter().map(Some).collect();
        let expected = Path {
            hops,
            mtu: Some(mtu),
        };
        ensure!(
            seen == expected,
            "tracepath shows {seen:?}, not {expected:?}"
        );
        Ok(())
    };
    tracepath(WIDE)?;
    let last = &topology.fabric[1];
    for (netns, dev) in [(last, "internet"), (&topology.server.netns, "eth0")] {
        netns.ip(&format!("link set {dev} mtu {SMALL}"))?;
    }
    tracepath(SMALL)?;
    outside.finish()?.expect_only_from(topology.external)
}

/// A cloud's EIP translates what an ICMP error quotes as well. The lab's keeps no state and can't, so here it is
/// the kernel's NAT, one to one.
/// And the VPC's router must take its own errors about translated packets, which come back from the gateway.
fn fabric_minds_icmp_errors(topology: &Topology) -> Result<()> {
    let [vpc, edge] = &topology.fabric[..] else {
        bail!("another network");
    };
    vpc.sysctl("net/ipv4/conf/all/accept_local", "1")?;
    let (own, external) = (topology.gateway.addr, topology.external);
    edge.nft(&format!(
        "delete table ip eip
         table ip eip {{
             chain in {{ type nat hook prerouting priority dstnat;
                 iifname internet ip daddr {external} dnat to {own}
             }}
             chain out {{ type nat hook postrouting priority srcnat;
                 oifname internet ip saddr {own} snat to {external}
             }}
         }}"
    ))
}

/// Every router behind the client, and the target.
fn way(topology: &Topology) -> Vec<Ipv4Addr> {
    let routers: &[[u8; 4]] = if topology.interfaces.len() == 1 {
        // The VPC's router is passed on the way to the gateway, and again behind it.
        &[
            [172, 16, 1, 1],
            [172, 16, 0, 10],
            [172, 16, 0, 1],
            [10, 255, 0, 2],
        ]
    } else {
        &[[172, 16, 1, 1], [203, 0, 113, 1]]
    };
    let routers = routers.iter().copied().map(Ipv4Addr::from);
    routers.chain([topology.server.addr]).collect()
}

type Program<'a> = &'a (dyn Fn(&Netns, Ipv4Addr) -> Result<Path> + Sync);

/// Runs the programs at the same time; each must see the same way.
fn all_see(topology: &Topology, programs: &[(&str, Program<'_>)]) -> Result<()> {
    let client = &topology.clients[0].netns;
    let target = topology.server.addr;
    let hops: Vec<_> = way(topology).into_iter().map(Some).collect();
    thread::scope(|scope| {
        let running: Vec<_> = programs
            .iter()
            .map(|(name, program)| (name, scope.spawn(move || program(client, target))))
            .collect();
        for (name, thread) in running {
            let seen = thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                .with_context(|| (*name).to_owned())?;
            ensure!(
                seen.hops == hops,
                "{name} shows {:?}, not {hops:?}",
                seen.hops
            );
        }
        Ok(())
    })
}
