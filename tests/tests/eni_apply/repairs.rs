//! What `snat-ctl run` puts right: within a second, while a connection by the other interface goes on. While eth1 is
//! away, nothing with its address leaves by eth0.

use std::{
    net::{IpAddr, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use snat_tests::{
    capture::Counted,
    eni::{ask, only},
    gateway::Gateway,
    session::Session,
    topology::enis::{ETH0, ETH1, Enis, SERVER, SERVER6},
    traffic::{ECHO, SSH},
    wait,
};

use super::{Scene, each_answers_by_its_own};

const A_SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_link_that_goes_down_and_up() -> Result<()> {
    expect_no_leak(&repaired(|enis| {
        enis.vm.ip("link set eth1 down")?;
        speak_from_eth1(enis);
        enis.vm.ip("link set eth1 up")
    })?)
}

#[test]
fn addresses_that_are_removed_and_added() -> Result<()> {
    let [secondary] = *ETH1.further else { panic!() };
    let (addr, addr6) = (ETH1.addr, ETH1.addr6);
    repaired(|enis| {
        // The secondary one goes with it.
        enis.vm.ip(&format!(
            "addr del {addr}/24 dev eth1
             addr del {addr6}/64 dev eth1"
        ))?;
        enis.vm.ip(&format!(
            "addr add {addr}/24 dev eth1
             addr add {secondary}/24 dev eth1
             addr add {addr6}/64 dev eth1"
        ))
    })
    .map(drop)
}

#[test]
fn an_eni_that_is_pulled_and_plugged_again() -> Result<()> {
    expect_no_leak(&repaired(|enis| {
        enis.unplug(&ETH1)?;
        enis.plug(&ETH1)
    })?)
}

#[test]
fn an_eni_whose_addresses_come_back_one_after_the_other() -> Result<()> {
    let addr6 = ETH1.addr6;
    let scene = Scene::new("")?;
    let enis = &scene.enis;
    let daemon = scene.ctl.daemon()?;
    let leaving = enis.leaving(&[ETH0])?;
    // However late the daemon looks: it was away.
    signal(&daemon, Signal::SIGSTOP)?;
    enis.unplug(&ETH1)?;
    enis.plug(&ETH1)?;
    enis.vm.ip(&format!("addr del {addr6}/64 dev eth1"))?;
    signal(&daemon, Signal::SIGCONT)?;
    wait::until(A_SECOND, "repair of what is IPv4", || {
        let log = daemon.log();
        ensure!(log.contains("+ -4 route default"), "the daemon said {log}");
        Ok(())
    })?;
    // What holds until the daemon has seen the other address.
    signal(&daemon, Signal::SIGSTOP)?;
    enis.vm.ip(&format!("addr add {addr6}/64 dev eth1"))?;
    speak_from_eth1(enis);
    signal(&daemon, Signal::SIGCONT)?;
    expect_no_leak(&leaving.count()?)?;
    wait::until(A_SECOND, "eth1 speaks IPv6 again", || {
        only(&ask(enis, addr6)?, ("eth1", addr6.into()))
    })
    .map(drop)
}

#[test]
fn a_rule_deleted_by_hand() -> Result<()> {
    repaired(|enis| {
        let line = format!("ip rule del priority 20400 from {}", ETH1.addr);
        enis.vm.run(&line).map(drop)
    })
    .map(drop)
}

#[test]
fn a_table_flushed_by_hand() -> Result<()> {
    repaired(|enis| {
        enis.vm.run("ip route flush table 1001")?;
        enis.vm.run("ip -6 route flush table 1001").map(drop)
    })
    .map(drop)
}

#[test]
fn notifications_that_are_lost() -> Result<()> {
    let scene = Scene::new("")?;
    let daemon = scene.ctl.daemon()?;
    let applied = scene.snapshot()?;
    signal(&daemon, Signal::SIGSTOP)?;
    // Far more than a socket's buffer holds: the news of the rule does not fit any more.
    let flood: String = (0..20_000)
        .map(|n| format!("route add 10.{}.{}.0/24 dev lo table 7\n", n / 256, n % 256))
        .collect();
    scene.enis.vm.ip(&flood)?;
    scene.enis.vm.run("ip route flush table 7")?;
    let line = format!("ip rule del priority 20400 from {}", ETH1.addr);
    scene.enis.vm.run(&line)?;
    signal(&daemon, Signal::SIGCONT)?;
    let start = Instant::now();
    wait::until(Duration::from_secs(5), "repair", || {
        scene.snapshot()?.expect_lines_of(&applied)
    })?;
    println!("repaired {} ms later", start.elapsed().as_millis());
    let log = daemon.log();
    ensure!(
        log.contains("ran over"),
        "no notification was lost, so nothing is shown: {log}"
    );
    Ok(())
}

fn signal(daemon: &Gateway, signal: Signal) -> Result<()> {
    Ok(kill(Pid::from_raw(daemon.pid().cast_signed()), signal)?)
}

/// Lets it happen under a daemon, and fails unless all is as before within a second and nobody else noticed. What left
/// by eth0 meanwhile.
fn repaired(event: impl FnOnce(&Enis) -> Result<()>) -> Result<Counted> {
    let scene = Scene::new("default_metric = 200")?;
    let enis = &scene.enis;
    let _daemon = scene.ctl.daemon()?;
    let applied = scene.snapshot()?;
    let session = Session::open(&enis.srv, (ETH0.eip, SSH))?;
    let leaving = enis.leaving(&[ETH0])?;

    event(enis)?;
    let start = Instant::now();
    wait::until(Duration::from_secs(5), "repair", || {
        speak_from_eth1(enis);
        scene.snapshot()?.expect_lines_of(&applied)
    })?;
    let took = start.elapsed();
    println!("repaired {} ms later", took.as_millis());
    ensure!(took < A_SECOND, "repaired only {took:?} later");

    let lines = session.finish()?;
    ensure!(lines > 1, "the connection on eth0 had no time to suffer");
    let by_eth0 = leaving.count()?;
    each_answers_by_its_own(enis)?;
    Ok(by_eth0)
}

/// What a program does that knows nothing of all this. It may be refused: then nothing has left.
fn speak_from_eth1(enis: &Enis) {
    let speak = |from: IpAddr, to: IpAddr| {
        enis.vm.enter(|| {
            let socket = UdpSocket::bind((from, 0))?;
            Ok(socket.send_to(b"from eth1", (to, ECHO))?)
        })
    };
    let _ = speak(ETH1.addr.into(), SERVER.into());
    let _ = speak(ETH1.addr6.into(), SERVER6.into());
}

fn expect_no_leak(by_eth0: &Counted) -> Result<()> {
    let own = [ETH0.addr.into(), ETH0.addr6.into()];
    ensure!(
        by_eth0.keys().all(|(_, source)| own.contains(source)),
        "not only eth0's own left by eth0: {by_eth0:?}"
    );
    Ok(())
}
