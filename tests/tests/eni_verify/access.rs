//! Access rules: every action and every condition, to the host's own sockets and to what it forwards.

use anyhow::{Context as _, Result, ensure};
use libc::{EACCES, EHOSTUNREACH, EINVAL, ENETUNREACH, ETIMEDOUT};
use snat_tests::{
    eni::only,
    ping::ping,
    topology::enis::{ETH0, ETH1, SERVER, SERVER6},
};

use super::{
    Scene,
    attempt::{Attempt, PLAIN},
};

/// Of the router: what is not [`SERVER`].
const ROUTER: [u8; 4] = [198, 51, 100, 1];

#[test]
fn each_action_is_told_to_sockets_and_to_forwarded_senders() -> Result<()> {
    for (action, answer, errno, forwarded) in [
        ("unreachable", "no route", ENETUNREACH, ENETUNREACH),
        ("prohibit", "prohibited", EACCES, EHOSTUNREACH),
        ("blackhole", "blackhole", EINVAL, ETIMEDOUT),
    ] {
        let rule = format!(
            "[[rule]]\ndestination = [\"{SERVER}/32\", \"{SERVER6}/128\"]\naction = \"{action}\"\n"
        );
        let scene = Scene::with_container(&rule)?;
        let to_server6 = Attempt {
            to: SERVER6.into(),
            ..PLAIN
        };
        PLAIN.expect(&scene.enis.vm, Some(errno))?;
        to_server6.expect(&scene.enis.vm, Some(errno))?;
        let container = scene.enis.container.as_ref().context("no container")?;
        PLAIN.expect(container, Some(forwarded))?;
        ping(&scene.enis.vm, std::net::Ipv4Addr::from(ROUTER), 1, 1)?;
        ping(container, std::net::Ipv4Addr::from(ROUTER), 1, 1)?;
        asked(&scene, answer, 2)?;
        scene.ctl.done("remove")?;
        PLAIN.expect(&scene.enis.vm, None)?;
        PLAIN.expect(container, None)?;
    }
    Ok(())
}

#[test]
fn a_lookup_takes_its_packets_out_by_that_interface() -> Result<()> {
    let rule = format!("[[rule]]\ndestination = [\"{SERVER}/32\"]\nlookup = \"eth1\"\n");
    let scene = Scene::new(&rule)?;
    let leaving = scene.enis.leaving(&[ETH0, ETH1])?;
    PLAIN.expect(&scene.enis.vm, None)?;
    only(&leaving.count()?, ("eth1", ETH1.addr.into()))?;
    ping(&scene.enis.vm, std::net::Ipv4Addr::from(ROUTER), 1, 1)?;
    only(&leaving.count()?, ("eth0", ETH0.addr.into()))?;
    asked(&scene, "table 1001, eth1 via 172.16.20.253", 1)
}

#[test]
fn a_lookup_of_the_main_table_spares_a_destination() -> Result<()> {
    let rule = format!("[[rule]]\ndestination = [\"{SERVER}/32\"]\nlookup = \"main\"\n");
    let scene = Scene::new(&rule)?;
    let from_eth1 = Attempt {
        from: Some(ETH1.addr.into()),
        ..PLAIN
    };
    let leaving = scene.enis.leaving(&[ETH0, ETH1])?;
    from_eth1.expect(&scene.enis.vm, None)?;
    only(&leaving.count()?, ("eth0", ETH1.addr.into()))?;
    asked(&scene, "table 254, eth0 via 172.16.10.253", 1)
}

#[test]
fn by_source() -> Result<()> {
    let from_eth1 = Attempt {
        from: Some(ETH1.addr.into()),
        ..PLAIN
    };
    matches_only(
        &format!("source = [\"{}/32\"]", ETH1.addr),
        from_eth1,
        PLAIN,
    )
}

#[test]
fn by_ipv6_source() -> Result<()> {
    let plain = Attempt {
        to: SERVER6.into(),
        ..PLAIN
    };
    let from_eth1 = Attempt {
        from: Some(ETH1.addr6.into()),
        ..plain
    };
    matches_only("source = [\"2001:db8:20::/64\"]", from_eth1, plain)
}

#[test]
fn by_destination() -> Result<()> {
    let elsewhere = Attempt {
        to: SERVER6.into(),
        ..PLAIN
    };
    matches_only(
        &format!("destination = [\"{SERVER}/32\"]"),
        PLAIN,
        elsewhere,
    )
}

#[test]
fn by_mark() -> Result<()> {
    let marked = |mark| Attempt { mark, ..PLAIN };
    matches_only("mark = \"0x7/0xf\"", marked(0x17), marked(0x16))
}

#[test]
fn by_source_port() -> Result<()> {
    let from_port = |source_port| Attempt {
        source_port,
        ..PLAIN
    };
    let ports = "protocol = \"tcp\"\nsource_ports = \"5000-5009\"";
    matches_only(ports, from_port(5009), from_port(5010))
}

#[test]
fn by_destination_port() -> Result<()> {
    let scene = Scene::new(&prohibit(
        "protocol = \"tcp\"\ndestination_ports = \"20-22\"",
    ))?;
    PLAIN.expect(&scene.enis.vm, Some(EACCES))?;
    asked(&scene, "prohibited", 2)?;
    let scene = Scene::new(&prohibit(
        "protocol = \"tcp\"\ndestination_ports = \"23-25\"",
    ))?;
    PLAIN.expect(&scene.enis.vm, None)
}

#[test]
fn by_protocol() -> Result<()> {
    let scene = Scene::new(&prohibit("protocol = \"icmp\""))?;
    let refused = ping(&scene.enis.vm, SERVER, 1, 1)
        .err()
        .context("a ping went")?;
    ensure!(
        format!("{refused:#}").contains("Permission denied"),
        "{refused:#}"
    );
    PLAIN.expect(&scene.enis.vm, None)?;
    let scene = Scene::new(&prohibit("protocol = \"tcp\""))?;
    PLAIN.expect(&scene.enis.vm, Some(EACCES))?;
    ping(&scene.enis.vm, SERVER, 1, 1)?;
    asked(&scene, "prohibited", 2)
}

#[test]
fn by_incoming_interface() -> Result<()> {
    let to_server = format!("destination = [\"{SERVER}/32\"]");
    for (interface, own, forwarded) in [
        ("lo", Some(EACCES), None),
        ("br0", None, Some(EHOSTUNREACH)),
    ] {
        let rule = prohibit(&format!("{to_server}\ninterface = \"{interface}\""));
        let scene = Scene::with_container(&rule)?;
        let container = scene.enis.container.as_ref().context("no container")?;
        PLAIN.expect(&scene.enis.vm, own)?;
        PLAIN.expect(container, forwarded)?;
        asked(&scene, "prohibited", 1)?;
    }
    Ok(())
}

#[test]
fn what_can_not_come_in_is_not_asked_about() -> Result<()> {
    let rule = prohibit("source = [\"10.0.0.0/8\"]\ninterface = \"eth1\"");
    // This host forwards nothing.
    let scene = Scene::new(&rule)?;
    scene
        .verify(0, &["not asked: [[rule]] at line 7", "forwards nothing"])
        .map(drop)
}

/// Fails unless a rule with this condition forbids the one and lets the other go, and verify knows of it.
fn matches_only(condition: &str, forbidden: Attempt, free: Attempt) -> Result<()> {
    let scene = Scene::new(&prohibit(condition))?;
    forbidden.expect(&scene.enis.vm, Some(EACCES))?;
    free.expect(&scene.enis.vm, None)?;
    let families = if condition.contains('[') { 1 } else { 2 };
    asked(&scene, "prohibited", families)
}

fn prohibit(condition: &str) -> String {
    format!("[[rule]]\n{condition}\naction = \"prohibit\"\n")
}

/// Fails unless verify has asked about the rule so many times, and always heard this.
fn asked(scene: &Scene, answer: &str, times: usize) -> Result<()> {
    scene.verify(0, &[])?;
    let checks = scene.checks("[[rule]] at line")?;
    ensure!(
        checks.len() == times && checks.iter().all(|check| check["answer"] == answer),
        "not {times} times {answer:?}: {checks:#?}"
    );
    Ok(())
}
