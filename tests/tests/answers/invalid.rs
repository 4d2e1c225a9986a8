//! ICMP errors whose checksums are wrong end at the gateway; extensions and options are none of its business
//! (RFC 5508 REQ-3).

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context as _, Result, ensure};
use etherparse::{IpNumber, Ipv4Header};
use snat_tests::{
    raw::{IcmpInbox, Packet},
    scene::Plan,
    wait,
};

use crate::{PATIENCE, SOON, datapaths, outside::opened};

const HOST_UNREACHABLE: u8 = 1;
/// Ends options at once: eight bytes of nothing.
const OPTIONS: [u8; 8] = [0; 8];

datapaths! {
    an_error_with_a_wrong_checksum_ends_here_tc: wrong_checksums_end_here, "tc";
    an_error_with_a_wrong_checksum_ends_here_xdp: wrong_checksums_end_here, "xdp";
}

fn wrong_checksums_end_here(datapath: &str) -> Result<()> {
    let scene = Plan::routed(datapath).start()?;
    let (server, mapped) = opened(&scene)?;
    let router = &scene.topology.fabric[1];
    let mut inbox = IcmpInbox::open(&scene.topology.clients[0].netns)?;
    let about = |quoted: &[u8], beyond: usize| {
        let mut rest = [&[0; 4], quoted].concat();
        rest.resize(rest.len() + beyond, 0xa5);
        let from = Ipv4Addr::new(203, 0, 113, 1);
        Packet::icmp(from, *mapped.ip(), 3, HOST_UNREACHABLE, &rest)
    };
    let plain = quoted(mapped, server, &[]);
    let with_options = quoted(mapped, server, &OPTIONS);
    for (quoted, beyond) in [
        (&plain, 0),
        (&plain, 2),
        (&with_options, 100),
        (&plain, 900),
        (&plain, 1300),
    ] {
        about(quoted, beyond).send(router)?;
        let told = inbox.next((3, HOST_UNREACHABLE), SOON)?;
        let client = scene.topology.clients[0].addr;
        ensure!(told.about_src == client, "{beyond}: {told:?}");
    }

    // The last byte, which only the error's own checksum covers.
    let mut broken = vec![about(&plain, 0), about(&with_options, 102)];
    for packet in &mut broken {
        *packet.payload.last_mut().context("bytes")? ^= 1;
    }
    // The quoted header's TTL and its options, the error's own checksum right.
    for at in [8, 21] {
        let mut quoted = with_options.clone();
        quoted[at] ^= 1;
        broken.push(about(&quoted, 0));
    }
    inbox.clear()?;
    for packet in &broken {
        packet.send(router)?;
    }
    wait::until(PATIENCE, "all of them are dropped", || {
        let dropped = scene.gateway.verdict("error_invalid")?;
        ensure!(dropped == broken.len() as u64, "{dropped}");
        Ok(())
    })?;
    // And nothing but them: the flow's errors still pass, so one that had passed would have come by now.
    about(&plain, 0).send(router)?;
    inbox.next((3, HOST_UNREACHABLE), SOON)?;
    ensure!(scene.gateway.verdict("error_in")? == 6);
    Ok(())
}

/// The beginning of a packet of the flow, as it left.
fn quoted(src: SocketAddrV4, dst: SocketAddrV4, options: &[u8]) -> Vec<u8> {
    let mut header = Ipv4Header::new(40, 60, IpNumber::UDP, src.ip().octets(), dst.ip().octets())
        .expect("a short packet");
    header.options = options.try_into().expect("short options");
    header.header_checksum = header.calc_header_checksum();
    let mut bytes = header.to_bytes().to_vec();
    bytes.extend(src.port().to_be_bytes());
    bytes.extend(dst.port().to_be_bytes());
    bytes.extend([0, 40, 0, 0]);
    bytes
}
