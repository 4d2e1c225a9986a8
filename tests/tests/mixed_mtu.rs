//! Bulk transfers over links of 9000, 1500 and 2000 bytes, in both directions: everybody who is too far away to see
//! the narrow link hears of it by ICMP through the gateway, or from it (RFC 1191, RFC 4787 REQ-13).
//!
//! A link that is narrower than the interfaces at its ends is a route with a locked MTU: the hosts cannot know it.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    capture::{Capture, Direction},
    gateway::{Gateway, config},
    http::{self, Client, HttpServer},
    link::{self, connect, end},
    netns::Netns,
    topology::{Host, Offloads, Shape, Topology, unique_prefix},
    traffic::HTTP,
};

const BYTES: u64 = 10_000_000;
const NARROW: u32 = 1500;
const MIDDLE: u32 = 2000;

#[test]
fn bulk_passes_links_of_9000_1500_and_2000_tc() -> Result<()> {
    routed("tc", 9000)
}

#[test]
fn bulk_passes_links_of_9000_1500_and_2000_xdp_generic() -> Result<()> {
    routed("xdp-generic", 9000)
}

/// A driver's XDP takes no larger frames than fit into a page.
#[test]
fn bulk_passes_links_of_3400_1500_and_2000_xdp() -> Result<()> {
    routed("xdp", 3400)
}

#[test]
fn bulk_passes_links_of_9000_1500_and_2000_xdp_one_arm() -> Result<()> {
    one_arm("xdp")
}

#[test]
fn bulk_passes_links_of_9000_1500_and_2000_tc_one_arm() -> Result<()> {
    one_arm("tc")
}

#[test]
fn a_server_is_told_of_a_narrow_link_next_to_the_gateway_xdp() -> Result<()> {
    narrow_behind("xdp")
}

#[test]
fn a_server_is_told_of_a_narrow_link_next_to_the_gateway_tc() -> Result<()> {
    narrow_behind("tc")
}

/// deep ─jumbo─ c1 ─jumbo─ gateway ─2000─ isp ─jumbo─ server, and 1500 beyond c1 and beyond isp.
fn routed(datapath: &str, jumbo: u32) -> Result<()> {
    let prefix = unique_prefix();
    // Without offloads, what is next to the gateway has XDP of its own, and no room for jumbo frames.
    let offloads = if datapath == "xdp" {
        Offloads::Off
    } else {
        Offloads::On
    };
    let topology = Topology::build(Shape::Routed, offloads, &prefix)?;
    let Topology {
        clients,
        gateway: gw,
        server,
        fabric,
        ..
    } = &topology;
    let (c1, lan, isp) = (&clients[0].netns, &fabric[0], &fabric[1]);
    let deep = deep_client(&topology, &format!("{prefix}deep"))?;
    set_mtu(
        jumbo,
        &[
            (&deep.netns, &["eth0"]),
            (c1, &["deep", "eth0"]),
            (lan, &["c1", "gw", "switch"]),
            (&gw.netns, &["eth1"]),
            (isp, &["internet"]),
            (&server.netns, &["eth0"]),
        ],
    )?;
    set_mtu(MIDDLE, &[(&gw.netns, &["eth0"]), (isp, &["gw"])])?;
    c1.ip(&format!(
        "route add {} dev deep mtu lock {NARROW}",
        deep.addr
    ))?;
    isp.ip(&format!(
        "route add {} dev internet mtu lock {NARROW}",
        server.addr
    ))?;

    let gateway = start(&topology, &prefix, datapath)?;
    bulk_both_ways(&topology, &gateway, &deep)?;
    for told in ["too_big_to_stack", "error_in", "error_out"] {
        ensure!(gateway.verdict(told)? > 0, "nobody was told by {told}");
    }
    Ok(())
}

/// client ─3400─ gateway ─3400─ isp ─3400─ server, and 1500 from the gateway to the client: nobody but the gateway
/// can tell the server.
fn narrow_behind(datapath: &str) -> Result<()> {
    const JUMBO: u32 = 3400;
    let prefix = unique_prefix();
    let topology = Topology::build(Shape::Routed, Offloads::Off, &prefix)?;
    let Topology {
        clients,
        gateway: gw,
        server,
        fabric,
        ..
    } = &topology;
    let (client, lan, isp) = (&clients[0], &fabric[0], &fabric[1]);
    set_mtu(
        JUMBO,
        &[
            (&client.netns, &["eth0"]),
            (lan, &["c1", "gw", "switch"]),
            (&gw.netns, &["eth0", "eth1"]),
            (isp, &["gw", "internet"]),
            (&server.netns, &["eth0"]),
        ],
    )?;
    gw.netns.ip(&format!(
        "route add {} dev eth1 mtu lock {NARROW}",
        client.addr
    ))?;

    let gateway = start(&topology, &prefix, datapath)?;
    bulk_both_ways(&topology, &gateway, client)?;
    ensure!(gateway.verdict("too_big")? > 0, "nobody had to be told");
    Ok(())
}

/// client ─9000─ VPC ─2000─ gateway; VPC ─9000─ edge ─2000─ server, and 1500 beyond the edge.
fn one_arm(datapath: &str) -> Result<()> {
    let prefix = unique_prefix();
    let topology = Topology::build(Shape::OneArm, Offloads::Off, &prefix)?;
    let Topology {
        clients,
        gateway: gw,
        server,
        fabric,
        ..
    } = &topology;
    let (vpc, edge) = (&fabric[0], &fabric[1]);
    set_mtu(
        9000,
        &[
            (&clients[0].netns, &["eth0"]),
            (vpc, &["c1", "subnet1", "edge"]),
            (edge, &["vpc"]),
        ],
    )?;
    set_mtu(
        MIDDLE,
        &[
            (vpc, &["subnet0"]),
            (&gw.netns, &["eth0"]),
            (edge, &["internet"]),
            (&server.netns, &["eth0"]),
        ],
    )?;
    edge.ip(&format!(
        "route add {} dev internet mtu lock {NARROW}",
        server.addr
    ))?;

    let gateway = start(&topology, &prefix, datapath)?;
    bulk_both_ways(&topology, &gateway, &clients[0])?;
    ensure!(gateway.verdict("error_in")? > 0, "nobody was told");
    Ok(())
}

fn bulk_both_ways(topology: &Topology, gateway: &Gateway, client: &Host) -> Result<()> {
    let server = &topology.server;
    let _http = HttpServer::start(&server.netns, HTTP)?;
    let outside = Capture::start(&server.netns, "eth0")?;
    let transfer = || -> Result<()> {
        let http = Client::new(&client.netns, server.addr, HTTP);
        let sent = http.upload(BYTES).context("to the server")?;
        ensure!(sent.text == http::sha256(BYTES), "the upload is damaged");
        // Each direction has to learn by itself.
        client.netns.ip("route flush cache")?;
        server.netns.ip("route flush cache")?;
        let fetched = http
            .get(&format!("/bytes/{BYTES}"))
            .context("from the server")?;
        ensure!(
            fetched.len == BYTES,
            "{} bytes arrived instead of {BYTES}",
            fetched.len
        );
        ensure!(
            fetched.sha256 == http::sha256(BYTES),
            "the download is damaged"
        );
        Ok(())
    };
    transfer().with_context(|| {
        let status = gateway
            .ctl(&["status"])
            .unwrap_or_else(|error| format!("{error:#}"));
        format!("snat-ctl status:\n{status}")
    })?;
    let report = outside.finish()?;
    report.expect_sound()?;
    // The router next to the server tells it of the link to the gateway.
    let known = [topology.external, Ipv4Addr::new(198, 51, 100, 1)];
    let sources = report.sources(Direction::In);
    ensure!(
        sources.keys().all(|source| known.contains(source)),
        "the server heard from {sources:?}"
    );
    Ok(())
}

/// A host behind the first client, which routes for it.
fn deep_client(topology: &Topology, name: &str) -> Result<Host> {
    let router = &topology.clients[0];
    let deep = Netns::create(name)?;
    connect(
        end(&deep, "eth0", [172, 16, 2, 2], 24),
        end(&router.netns, "deep", [172, 16, 2, 1], 24),
    )?;
    deep.ip("route add default via 172.16.2.1")?;
    router.netns.sysctl("net/ipv4/ip_forward", "1")?;
    topology
        .gateway
        .netns
        .ip(&format!("route add 172.16.2.0/24 via {}", router.addr))?;
    Ok(Host {
        netns: deep,
        addr: [172, 16, 2, 2].into(),
    })
}

/// With every packet as on a wire.
fn set_mtu(mtu: u32, devices: &[(&Netns, &[&str])]) -> Result<()> {
    for (netns, devices) in devices {
        for dev in *devices {
            netns.ip(&format!("link set {dev} mtu {mtu}"))?;
            link::offloads_off(netns, dev)?;
        }
    }
    Ok(())
}

/// The MSS is left as it is: senders are to find out by ICMP.
fn start(topology: &Topology, prefix: &str, datapath: &str) -> Result<Gateway> {
    let name = format!("{prefix}mtu");
    let config = config(topology, &name, datapath);
    let config = config.replacen("\n\n[[snat]]", "\nmss_clamp = \"off\"\n\n[[snat]]", 1);
    Gateway::start_with(topology, &name, &config)
}
