//! Without a terminal.

use anyhow::{Context as _, Result, ensure};
use snat_tests::wait;
use std::time::Duration;

use super::Busy;

#[test]
fn one_screen_is_printed_as_plain_text_and_its_numbers_as_json() -> Result<()> {
    let busy = Busy::start()?;
    let gateway = &busy.scene.gateway;
    let soon = Duration::from_secs(10);
    wait::until(soon, "the client is in it", || {
        let text = gateway.ctl(&["top", "--once", "--interval", "500ms"])?;
        ensure!(text.contains("\n172.16.1.11 "), "{text}");
        ensure!(!text.contains('\u{1b}'), "colours: {text:?}");
        println!("{text}");
        Ok(())
    })?;
    let seen = gateway.ctl_json(&["top", "--interval", "500ms"])?;
    let client = &seen["traffic"]["clients"][0];
    ensure!(client["address"] == "172.16.1.11", "{seen:#}");
    let bits = client["bits_out"].as_f64().context("no rate")?;
    ensure!(bits > 0.0, "{seen:#}");
    ensure!(
        seen["traffic"]["flows"][0]["client_port"] == 40_000,
        "{seen:#}"
    );
    let pools = seen["ports"]["pools"].as_array().context("no pools")?;
    let external = busy.scene.topology.external.to_string();
    let udp = pools
        .iter()
        .find(|pool| pool["protocol"] == "udp" && pool["external"] == *external);
    ensure!(udp.context("no pool")?["used"] == 1, "{seen:#}");
    Ok(())
}

#[test]
fn a_live_screen_without_a_terminal_is_refused_with_what_to_do() -> Result<()> {
    let busy = Busy::start()?;
    let refused = busy.scene.gateway.ctl_output(&["top"])?;
    ensure!(refused.status.code() == Some(2), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stderr);
    ensure!(
        said.contains("no terminal; `snat-ctl top --once`"),
        "{said}"
    );
    ensure!(refused.stdout.is_empty(), "{refused:?}");
    Ok(())
}
