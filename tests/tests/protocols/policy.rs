//! `[protocols]`: what is translated besides, and that the rest stays inside.

use anyhow::{Result, ensure};
use snat_tests::{ping::ping, raw::Packet, scene::Plan};

use crate::one_owner::{ends, next};

const AH: u8 = 51;
/// Of all sorts: IP in IP, IPv6, PIM, L2TP, experiments.
const OTHERS: [u8; 5] = [4, 41, 103, 115, 253];
const NAMED: [u8; 4] = [47, 50, 132, 136];

#[test]
fn other_protocols_are_translated_by_address_where_the_configuration_says_so_and_ah_never_is()
-> Result<()> {
    let scene = Plan {
        sections: "\n[protocols]\nothers = \"address-only\"\n",
        ..Plan::routed("xdp")
    }
    .start()?;
    let client = &scene.topology.clients[0];
    let (server, outside, inside) = ends(&scene)?;
    let payload = vec![0x5a; 36];
    for protocol in OTHERS {
        Packet::new(client.addr, server, protocol, payload.clone()).send(&client.netns)?;
        let heard = next(&outside, protocol, &payload)?;
        ensure!(heard.src() == scene.topology.external, "{}", heard.src());
        Packet::new(server, scene.topology.external, protocol, payload.clone())
            .send(&scene.topology.server.netns)?;
        let heard = next(&inside[0], protocol, &payload)?;
        ensure!(heard.dst() == client.addr, "{}", heard.dst());
    }
    Packet::new(client.addr, server, AH, payload).send(&client.netns)?;
    ping(&client.netns, server, 9, 3)?;
    let left = outside.all(|heard| (heard.protocol() == AH).then_some(()))?;
    ensure!(left.is_empty(), "AH left");
    ensure!(scene.gateway.verdict("unknown_protocol")? == 1);
    Ok(())
}

#[test]
fn protocols_that_are_to_be_dropped_never_leave_xdp() -> Result<()> {
    dropped("xdp")
}

#[test]
fn protocols_that_are_to_be_dropped_never_leave_tc() -> Result<()> {
    dropped("tc")
}

fn dropped(datapath: &str) -> Result<()> {
    let scene = Plan {
        sections: "\n[protocols]\nudp_lite = \"drop\"\nsctp = \"drop\"\ngre = \"drop\"\nesp = \"drop\"\n",
        ..Plan::routed(datapath)
    }
    .start()?;
    let client = &scene.topology.clients[0];
    let (server, outside, _) = ends(&scene)?;
    let all = [&OTHERS[..], &NAMED, &[AH]].concat();
    for protocol in &all {
        // Ports 40 and 40, length or coverage 40: right for each that reads them.
        let payload = [0, 40].repeat(20);
        Packet::new(client.addr, server, *protocol, payload).send(&client.netns)?;
    }
    ping(&client.netns, server, 9, 3)?;
    let left = outside.all(|heard| (heard.protocol() != 1).then(|| heard.protocol()))?;
    ensure!(left.is_empty(), "{left:?} left");
    let counted = scene.gateway.verdict("unknown_protocol")?;
    ensure!(counted == all.len() as u64, "{counted} were counted");
    Ok(())
}
