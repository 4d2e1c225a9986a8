//! The lab itself, tested with the kernel's own NAT: what fails here is no fault of the gateway.

use std::net::SocketAddrV4;

use anyhow::Result;
use snat_tests::{
    capture::{Capture, Direction},
    gateway::nft_masquerade,
    http::{Client, HttpServer},
    topology::{Offloads, Shape, Topology, unique_prefix},
    traffic::{self, HTTP},
    udp::{self, UdpEcho},
};

#[test]
fn kernel_nat_passes_the_whole_matrix_one_arm() -> Result<()> {
    kernel_nat(Shape::OneArm)
}

#[test]
fn kernel_nat_passes_the_whole_matrix_routed() -> Result<()> {
    kernel_nat(Shape::Routed)
}

#[test]
fn a_leak_of_private_sources_is_seen_outside() -> Result<()> {
    for shape in [Shape::OneArm, Shape::Routed] {
        let topology = Topology::build(shape, Offloads::Off, &unique_prefix())?;
        let _echo = UdpEcho::start(&topology.server.netns, 7)?;
        let outside = Capture::start(&topology.server.netns, "eth0")?;
        let client = &topology.clients[0];
        let seen = udp::exchange(
            &client.netns,
            SocketAddrV4::new(topology.server.addr, 7),
            0,
            1,
        )?;
        assert_eq!(
            seen.ip(),
            client.addr,
            "without NAT the client's own address arrives"
        );
        let report = outside.finish()?;
        assert!(
            report.sources(Direction::In).contains_key(&client.addr),
            "{report:?}"
        );
    }
    Ok(())
}

#[test]
fn checksums_left_to_the_nic_are_seen_as_faults() -> Result<()> {
    let topology = Topology::build(Shape::OneArm, Offloads::On, &unique_prefix())?;
    nft_masquerade(&topology)?;
    let _http = HttpServer::start(&topology.server.netns, HTTP)?;
    let outside = Capture::start(&topology.server.netns, "eth0")?;
    Client::new(&topology.clients[0].netns, topology.server.addr, HTTP).get("/bytes/100000")?;
    assert!(outside.finish()?.expect_sound().is_err());
    Ok(())
}

fn kernel_nat(shape: Shape) -> Result<()> {
    let topology = Topology::build(shape, Offloads::Off, &unique_prefix())?;
    nft_masquerade(&topology)?;
    traffic::everything(&topology)
}
