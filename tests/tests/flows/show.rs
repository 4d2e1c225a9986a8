//! One flow in full.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::ground::Ground;

#[test]
fn a_flow_is_found_by_its_ends_and_shown_in_full() -> Result<()> {
    let ground = Ground::start("tc")?;
    let gateway = &ground.scene.gateway;
    let shown = gateway.ctl_json(&[
        "flows",
        "show",
        "udp",
        "172.16.1.11:4000",
        "198.51.100.20:7",
    ])?;
    let [flow] = &shown.as_array().context("no array")?[..] else {
        anyhow::bail!("not one flow: {shown}");
    };
    for (field, value) in [
        ("client_port", json!(4000)),
        ("external", json!("203.0.113.10")),
        ("eni", json!("eth0")),
        ("opened_by", json!("client")),
        ("own_port", json!(true)),
        ("mtu", json!(1500)),
        ("packets_out", json!(9)),
        ("packets_in", json!(9)),
    ] {
        ensure!(flow[field] == value, "{field}: {flow}");
    }
    let left = flow["expires_in_seconds"].as_f64().context("no end")?;
    let idle = flow["idle_seconds"].as_f64().context("no idleness")?;
    ensure!((left + idle - 600.0).abs() < 0.1, "{flow}");
    let router = ground
        .scene
        .topology
        .gateway
        .netns
        .run("ip -j neigh show 203.0.113.1 dev eth0")?;
    let hop = flow["next_hop"].as_str().context("no next hop")?;
    ensure!(router.contains(hop), "{hop} in {router}");

    let screen = gateway.ctl(&["flows", "show", "udp", "172.16.1.11:4000"])?;
    ensure!(
        screen.starts_with("udp 172.16.1.11:4000 -> 203.0.113.10:")
            && screen.contains("opened by the client")
            && screen.contains("9 packets"),
        "{screen}"
    );
    let several = gateway.ctl_json(&["flows", "show", "udp", "172.16.1.11"])?;
    ensure!(
        several.as_array().is_some_and(|flows| flows.len() == 2),
        "{several}"
    );
    let none = gateway.ctl_output(&["flows", "show", "tcp", "172.16.1.11:4000"])?;
    let said = String::from_utf8_lossy(&none.stderr);
    ensure!(
        none.status.code() == Some(1) && none.stdout.is_empty() && said.contains("no such flow"),
        "{none:?}"
    );
    ground.session.finish().map(drop)
}
