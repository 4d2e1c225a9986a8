//! What is printed, and what is refused.

use anyhow::{Result, ensure};
use snat_tests::scene::Scene;

use crate::ground::{apply, change, edit, two_addresses};

fn scene() -> Result<Scene> {
    two_addresses("tc").start()
}

#[test]
fn the_difference_is_told_and_a_dry_run_changes_nothing() -> Result<()> {
    let scene = scene()?;
    let config = scene.gateway.config().display().to_string();
    edit(&scene, ", \"203.0.113.11\"]", "]")?;
    edit(
        &scene,
        "tcp_closing = \"2s\"",
        "tcp_closing = \"2s\"\nudp = \"3m\"",
    )?;
    let maps = scene.gateway.ctl_json(&["status", "--interval", "0"])?;
    let dry = scene
        .gateway
        .ctl(&["apply", "--config", &config, "--dry-run"])?;
    for line in [
        "~ snat \"private\" external: - 203.0.113.11",
        "~ timeouts.udp: 5m -> 3m",
        "nothing was changed; no flow would be ended",
    ] {
        ensure!(dry.contains(line), "no {line:?} in {dry}");
    }
    let after = scene.gateway.ctl_json(&["status", "--interval", "0"])?;
    ensure!(maps["pools"] == after["pools"], "{maps} {after}");
    let done = scene.gateway.ctl(&["apply", "--config", &config])?;
    ensure!(done.contains("applied, no flow was ended"), "{done}");
    let again = scene.gateway.ctl(&["apply", "--config", &config])?;
    ensure!(again.contains("nothing to do"), "{again}");
    Ok(())
}

#[test]
fn what_cannot_be_changed_at_work_is_refused_and_nothing_is_changed() -> Result<()> {
    let scene = scene()?;
    let before = crate::ground::text(&scene)?;
    let config = scene.gateway.config().display().to_string();
    for (from, to, code, why) in [
        (
            "[gateway]",
            "[gateway]\nmax_flows = 4096",
            1,
            "gateway.max_flows",
        ),
        ("interfaces =", "interfacez =", 2, "interfacez"),
        ("\"203.0.113.11\"", "\"192.0.2.200\"", 1, "192.0.2.200"),
        ("[\"eth0\", \"eth1\"]", "[\"eth0\", \"eth7\"]", 1, "eth7"),
    ] {
        edit(&scene, from, to)?;
        let out = scene.gateway.ctl_output(&["apply", "--config", &config])?;
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        ensure!(
            out.status.code() == Some(code),
            "{from}: {} {text}",
            out.status
        );
        ensure!(text.contains(why), "{from}: {text}");
        crate::ground::write(&scene, &before)?;
        let outcome = apply(&scene)?;
        ensure!(
            outcome["changes"].as_array().is_some_and(Vec::is_empty),
            "{from}: {outcome}"
        );
        ensure!(outcome["interrupted"] == false, "{from}: {outcome}");
    }
    Ok(())
}

#[test]
fn metrics_move_and_stop_with_the_file() -> Result<()> {
    let scene = scene()?;
    let served = |port: u16| {
        scene
            .topology
            .gateway
            .netns
            .enter(|| Ok(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()))
    };
    let text = |port| format!("[metrics]\nlisten = \"127.0.0.1:{port}\"\n\n[timeouts]");
    change(&scene, "[timeouts]", &text(9469))?;
    ensure!(served(9469)?);
    change(&scene, &text(9469), &text(9470))?;
    ensure!(served(9470)? && !served(9469)?);
    change(&scene, "127.0.0.1:9470", "0.0.0.0:9470")?;
    ensure!(served(9470)?);
    change(
        &scene,
        "[metrics]\nlisten = \"0.0.0.0:9470\"\n\n[timeouts]",
        "[timeouts]",
    )?;
    ensure!(!served(9470)?);
    Ok(())
}
