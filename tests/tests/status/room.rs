//! Room: tables, ports, and what is refused for want of it.

use std::net::{Ipv4Addr, UdpSocket};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    scene::{Plan, Scene},
    wait,
};

use super::{SOON, expect, id, ids, problems};

/// Flows that end soon, and ports that rest for a moment only.
const BRIEF: &str = "\n[timeouts]\nudp = \"2s\"\nport_rest = \"1s\"\n";

#[test]
fn ports_that_are_used_up_are_told_with_what_is_refused_and_no_longer_when_they_are_free()
-> Result<()> {
    let plan = Plan {
        entry: "mapping = \"endpoint-independent\"\nports = \"20000-20003\"",
        sections: BRIEF,
        ..Plan::routed("tc")
    };
    let scene = plan.start()?;
    send(&scene, 0..4)?;
    let external = scene.topology.translated();
    let pressure = format!("ports.pressure {external} udp");
    expect(&scene.gateway, &[&pressure])?;

    wait::until(SOON, "a refusal is told while it goes on", || {
        let stop = std::sync::atomic::AtomicBool::new(false);
        let status = std::thread::scope(|scope| {
            scope.spawn(|| -> Result<()> {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    send(&scene, 0..8)?;
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                Ok(())
            });
            let status = scene.gateway.ctl_json(&["status", "--interval", "500ms"]);
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            status
        })?;
        let all = problems(&status)?;
        let told = all
            .iter()
            .find(|problem| problem["subject"] == "ports_exhausted")
            .with_context(|| format!("{all:?}"))?;
        ensure!(
            id(told)? == "drops ports_exhausted" && told["severity"] == "critical",
            "{told}"
        );
        let rate = status["rates"]["verdicts"]["ports_exhausted"].as_f64();
        ensure!(rate.is_some_and(|rate| rate > 0.0), "{status:#}");
        let last = &status["last_errors"][0]["text"];
        ensure!(
            last.as_str()
                .is_some_and(|text| text.contains("ports_exhausted")),
            "{status:#}"
        );
        Ok(())
    })?;
    expect(&scene.gateway, &[])
}

#[test]
fn ports_that_are_shared_now_are_told() -> Result<()> {
    let plan = Plan {
        entry: "ports = \"20000-20003\"",
        sections: BRIEF,
        ..Plan::routed("tc")
    };
    let scene = plan.start()?;
    let servers = scene.more_servers(30..60)?;
    wait::until(SOON, "sharing is told", || {
        let status = std::thread::scope(|scope| {
            scope.spawn(|| -> Result<()> {
                std::thread::sleep(std::time::Duration::from_millis(300));
                for (server, port) in servers.iter().zip(0..) {
                    send_to(&scene, 100 + port, *server)?;
                }
                Ok(())
            });
            scene.gateway.ctl_json(&["status", "--interval", "1s"])
        })?;
        let all = problems(&status)?;
        ensure!(
            all.iter().any(|problem| problem["id"] == "ports.shared"),
            "{all:?}"
        );
        Ok(())
    })
}

#[test]
fn a_table_that_is_nearly_full_is_told_until_its_flows_have_ended() -> Result<()> {
    let plan = Plan {
        gateway: "max_flows = 64",
        sections: BRIEF,
        ..Plan::routed("tc")
    };
    let scene = plan.start()?;
    wait::until(SOON, "status tells of it", || {
        send(&scene, 0..64)?;
        let ids = ids(&scene.gateway)?;
        ensure!(ids == ["table.pressure flows"], "{ids:?}");
        Ok(())
    })?;
    expect(&scene.gateway, &[])
}

fn send(scene: &Scene, ports: std::ops::Range<u16>) -> Result<()> {
    for port in ports {
        send_to(scene, port, scene.topology.server.addr)?;
    }
    Ok(())
}

fn send_to(scene: &Scene, port: u16, to: Ipv4Addr) -> Result<()> {
    scene.topology.clients[0].netns.enter(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 3000 + port))?;
        // One that was refused is told so (ICMP), by an error of the next.
        socket.send_to(b"x", (to, 9)).ok();
        Ok(())
    })
}
