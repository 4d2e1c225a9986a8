//! What is served is well formed, is what the documents say, and is what other commands say.

use std::{collections::BTreeSet, net::SocketAddrV4};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    ping::ping,
    prometheus::promtool,
    scene::Scene,
    scrape,
    topology::Shape,
    traffic::ECHO,
    udp::{self, UdpEcho},
    wait,
};

use crate::ground::{LOOPBACK, SOON, printed, served, start};

const DOCUMENTED: &str = include_str!("../../../docs/metrics.md");

#[test]
fn promtool_finds_no_fault_in_what_is_served_and_printed() -> Result<()> {
    let scene = start("tc", Shape::Routed)?;
    some_flows(&scene)?;
    let served = scrape::get(&scene.topology.gateway.netns, LOOPBACK, "/metrics")?.body;
    let printed = scene.gateway.ctl(&["metrics"])?;
    for page in [served, printed] {
        let said = promtool(&["check", "metrics"], &page)?;
        ensure!(said.is_empty(), "promtool says: {said}");
    }
    // It does find faults.
    let faulty = "# TYPE snat_x counter\nsnat_x 1\n";
    ensure!(promtool(&["check", "metrics"], faulty).is_err());
    Ok(())
}

#[test]
fn every_metric_is_documented_and_no_label_is_a_clients_or_a_servers_address() -> Result<()> {
    let scene = start("tc", Shape::Routed)?;
    some_flows(&scene)?;
    let scrape = served(&scene)?;
    let documented: BTreeSet<_> = DOCUMENTED
        .lines()
        .filter(|line| line.starts_with("| `snat_"))
        .filter_map(|line| line.split('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    let names: BTreeSet<_> = scrape.names().into_iter().map(family).collect();
    ensure!(names == documented, "{names:?}, not {documented:?}");
    let topology = &scene.topology;
    for addr in [
        topology.clients[0].addr,
        topology.clients[1].addr,
        topology.server.addr,
    ] {
        let addr = addr.to_string();
        ensure!(
            !scrape.0.keys().any(|series| series.contains(&addr)),
            "{addr}: {scrape:?}"
        );
    }
    Ok(())
}

#[test]
fn the_census_finds_the_flows_and_ports_that_there_are() -> Result<()> {
    let scene = start("tc", Shape::Routed)?;
    some_flows(&scene)?;
    let external = scene.topology.external;
    let holds = |scrape: &scrape::Scrape| -> Result<()> {
        for (series, value) in [
            ("snat_flows{protocol=\"udp\",state=\"udp\"}".to_owned(), 3.0),
            (
                "snat_flows{protocol=\"icmp\",state=\"echo\"}".to_owned(),
                2.0,
            ),
            (
                "snat_flows{protocol=\"tcp\",state=\"established\"}".to_owned(),
                0.0,
            ),
            (
                format!("snat_ports_used{{external=\"{external}\",protocol=\"udp\"}}"),
                3.0,
            ),
            (
                format!("snat_ports_used{{external=\"{external}\",protocol=\"icmp\"}}"),
                2.0,
            ),
            (
                format!("snat_ports_resting{{external=\"{external}\",protocol=\"udp\"}}"),
                0.0,
            ),
            ("snat_table_used{table=\"flows\"}".to_owned(), 5.0),
            ("snat_table_used{table=\"clients\"}".to_owned(), 2.0),
            ("snat_table_used{table=\"mappings\"}".to_owned(), 10.0),
            ("snat_flows_created_total".to_owned(), 5.0),
        ] {
            let found = scrape.value(&series)?;
            ensure!(found == value, "{series} is {found}, not {value}");
        }
        Ok(())
    };
    holds(&printed(&scene)?)?;
    wait::until(SOON, "a sweep has counted", || holds(&served(&scene)?))
}

#[test]
fn json_has_what_is_printed() -> Result<()> {
    let scene = start("tc", Shape::Routed)?;
    some_flows(&scene)?;
    let json = scene.gateway.ctl_json(&["metrics"])?;
    let families = json.as_array().context("no array")?;
    let samples = families
        .iter()
        .filter_map(|family| family["samples"].as_array());
    let scrape = printed(&scene)?;
    let count = samples.map(Vec::len).sum::<usize>();
    ensure!(
        count == scrape.0.len(),
        "{count} samples, not {}",
        scrape.0.len()
    );
    let created = families
        .iter()
        .find(|family| family["name"] == "snat_flows_created_total");
    let created = created.context("no flows created")?;
    ensure!(created["samples"][0]["value"] == 5, "{created}");
    Ok(())
}

#[test]
fn searches_and_ends_of_flows_are_counted_by_what_they_were() -> Result<()> {
    let scene = start("tc", Shape::Routed)?;
    some_flows(&scene)?;
    scene.gateway.ctl(&["flows", "flush", "--all", "--yes"])?;
    let scrape = served(&scene)?;
    for (series, value) in [
        ("snat_flows_created_total", 5.0),
        ("snat_flows_let_in_total", 0.0),
        ("snat_flows_removed_total{reason=\"flushed\"}", 5.0),
        ("snat_flows_removed_total{reason=\"idle\"}", 0.0),
        ("snat_port_claim_tries_count", 5.0),
        ("snat_port_claim_tries_bucket{le=\"+Inf\"}", 5.0),
    ] {
        let found = scrape.value(series)?;
        ensure!(found == value, "{series} is {found}, not {value}");
    }
    let tries = scrape.value("snat_port_claim_tries_sum")?;
    ensure!(
        (5.0..=20.0).contains(&tries),
        "{tries} tries for 5 ports of many"
    );
    Ok(())
}

/// As the documents name it: a histogram without what its samples end in.
fn family(name: &str) -> &str {
    let ends = ["_bucket", "_sum", "_count"];
    ends.iter()
        .find_map(|end| name.strip_suffix(end))
        .unwrap_or(name)
}

/// Three of UDP, of two clients, and two pings.
fn some_flows(scene: &Scene) -> Result<()> {
    let topology = &scene.topology;
    let [first, second] = &topology.clients;
    let _echo = UdpEcho::start(&topology.server.netns, ECHO)?;
    let echo = SocketAddrV4::new(topology.server.addr, ECHO);
    for (client, port) in [(first, 5000), (first, 5001), (second, 5000)] {
        udp::exchange(&client.netns, echo, port, 2)?;
    }
    ping(&first.netns, topology.server.addr, 7, 1)?;
    ping(&second.netns, topology.server.addr, 7, 1).map(drop)
}
