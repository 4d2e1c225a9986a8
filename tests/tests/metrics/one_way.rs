//! Flows that nobody answers, and servers that were let in: what tables are full of, also if it is easily overlooked.

use std::{
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Result, ensure};
use snat_tests::{
    scene::{Plan, Scene},
    traffic::ECHO,
    udp::{self, UdpEcho},
    wait,
};

use crate::ground::{METRICS, SOON, printed, served};

const FLOWS: &str = "snat_flows{protocol=\"udp\",state=\"udp\"}";
const ELEMENTS: &str = "snat_table_used{table=\"mappings\"}";
const CENSUS: &str = "snat_census_timestamp_seconds";
/// Of UDP here.
const TIMEOUT: f64 = 2.0;

#[test]
fn a_flow_that_only_its_client_uses_is_counted_for_as_long_as_it_lives() -> Result<()> {
    let scene = start("")?;
    let (client, server) = (&scene.topology.clients[0], &scene.topology.server);
    let silent = |netns: &snat_tests::netns::Netns| {
        netns.enter(|| Ok(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 7777))?))
    };
    let (from, _to) = (silent(&client.netns)?, silent(&server.netns)?);
    let begun = now()?;
    wait::until(SOON, "a census long after the timeout", || {
        from.send_to(b"x", (server.addr, 7777))?;
        let at = served(&scene)?.value(CENSUS)?;
        ensure!(at > begun + 2.0 * TIMEOUT, "the last is of {at}");
        Ok(())
    })?;
    let (with, without) = (served(&scene)?, printed(&scene)?);
    for scrape in [with, without] {
        let flows = scrape.value(FLOWS)?;
        ensure!(flows == 1.0, "{flows} flows: {scrape:#?}");
    }
    Ok(())
}

#[test]
fn servers_that_were_let_in_count_for_how_full_the_mappings_are() -> Result<()> {
    let scene = start("mapping = \"endpoint-independent\"\nfiltering = \"address-dependent\"")?;
    let (client, server) = (&scene.topology.clients[0], &scene.topology.server);
    let _echo = UdpEcho::start(&server.netns, ECHO)?;
    let to = SocketAddrV4::new(server.addr, ECHO);
    let from = 4000;
    let elements = |expected: f64| {
        let found = [printed(&scene)?, served(&scene)?].map(|scrape| scrape.value(ELEMENTS));
        for found in found {
            let found = found?;
            ensure!(found == expected, "{found} elements, not {expected}");
        }
        Ok(())
    };
    wait::until(
        SOON,
        "a mapping and the server's permission are counted",
        || {
            udp::exchange(&client.netns, to, from, 1)?;
            elements(3.0)
        },
    )?;
    wait::until(SOON, "they are gone from the count as from the map", || {
        elements(0.0)
    })
}

fn start(entry: &str) -> Result<Scene> {
    let sections = format!("{METRICS}\n[timeouts]\nudp = \"2s\"\nport_rest = \"1s\"\n");
    Plan {
        entry,
        sections: &sections,
        ..Plan::routed("tc")
    }
    .start()
}

/// As Unix time.
fn now() -> Result<f64> {
    let now: Duration = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(now.as_secs_f64())
}
