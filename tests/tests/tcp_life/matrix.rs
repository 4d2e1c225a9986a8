//! What a connection has gone through, and for how long it may then be idle.

use std::{collections::BTreeSet, time::Instant};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    scene::Plan,
    segment::{ACK, FIN, RST, SYN},
    topology::Shape,
    wait,
};

use crate::wire::{
    Connection, LONG, SHORT, SOON,
    Step::{self, In, Out},
    TIMEOUTS, Wire,
};

/// How long it may be idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Idle {
    /// `tcp_opening` or `tcp_closing`.
    Short,
    /// `tcp_established`.
    Long,
}
use Idle::{Long, Short};

const OPEN: [Step; 2] = [In(SYN | ACK), Out(ACK)];

/// What follows the client's SYN.
fn rows() -> Vec<(&'static str, Vec<Step>, Idle)> {
    let after_open = |more: &[Step]| [&OPEN[..], more].concat();
    let closed = [Out(FIN | ACK), In(ACK), In(FIN | ACK), Out(ACK)];
    vec![
        ("no answer", vec![], Short),
        ("refused with RST", vec![In(RST | ACK)], Short),
        ("open", after_open(&[]), Long),
        (
            "half open: the last ACK is missing",
            vec![In(SYN | ACK)],
            Long,
        ),
        (
            "simultaneous open",
            vec![In(SYN), Out(SYN | ACK), In(ACK)],
            Long,
        ),
        ("simultaneous open, SYNs alone", vec![In(SYN)], Long),
        (
            "FIN from the client",
            after_open(&[Out(FIN | ACK), In(ACK)]),
            Long,
        ),
        (
            "FIN from the server",
            after_open(&[In(FIN | ACK), Out(ACK)]),
            Long,
        ),
        (
            "FIN from both, the client first",
            after_open(&closed),
            Short,
        ),
        (
            "FIN from both, the server first",
            after_open(&[In(FIN | ACK), Out(FIN | ACK), In(ACK)]),
            Short,
        ),
        (
            "FIN from both at once",
            after_open(&[Out(FIN | ACK), In(FIN | ACK)]),
            Short,
        ),
        ("RST from the client", after_open(&[Out(RST)]), Short),
        ("RST from the server", after_open(&[In(RST)]), Short),
        (
            "RST from the client, then the server speaks",
            after_open(&[Out(RST), In(ACK)]),
            Long,
        ),
        (
            "RST from the server, then the client speaks",
            after_open(&[In(RST), Out(ACK)]),
            Long,
        ),
        (
            "RST upon RST",
            after_open(&[In(RST), Out(RST), In(RST)]),
            Short,
        ),
        (
            "a new connection in TIME-WAIT",
            [&after_open(&closed)[..], &[Out(SYN)], &OPEN].concat(),
            Long,
        ),
        (
            "a new SYN in TIME-WAIT without answer",
            [&after_open(&closed)[..], &[Out(SYN)]].concat(),
            Short,
        ),
        (
            "a new connection after RST",
            after_open(&[Out(RST), Out(SYN), In(SYN | ACK), Out(ACK)]),
            Long,
        ),
        (
            "an old SYN comes once more",
            after_open(&[Out(SYN), In(ACK)]),
            Long,
        ),
        (
            "an old SYN+ACK comes once more",
            after_open(&[In(SYN | ACK), Out(ACK)]),
            Long,
        ),
    ]
}

#[test]
fn idle_times_follow_the_connection_s_state_xdp() -> Result<()> {
    idle_times(&Plan {
        shape: Shape::OneArm,
        ..Plan::routed("xdp")
    })
}

#[test]
fn idle_times_follow_the_connection_s_state_tc() -> Result<()> {
    idle_times(&Plan::routed("tc"))
}

fn idle_times(plan: &Plan<'_>) -> Result<()> {
    let wire = Wire::start(&Plan {
        sections: TIMEOUTS,
        ..*plan
    })?;
    let begun = Instant::now();
    let mut all: Vec<(&str, Connection, Idle)> = Vec::new();
    for (number, (name, steps, idle)) in (0..).zip(rows()) {
        let connection = begin(&wire, number, &steps).context(name)?;
        all.push((name, connection, idle));
    }
    let opened = Instant::now();
    wait::until(2 * SHORT, "idle for longer than the short timeouts", || {
        ensure!(opened.elapsed() > SHORT + SHORT / 2);
        Ok(())
    })?;

    let of = |wanted: Idle| -> (Vec<&str>, Vec<Connection>) {
        let rows = all.iter().filter(|(_, _, idle)| *idle == wanted);
        rows.map(|(name, connection, _)| (*name, *connection))
            .unzip()
    };
    let ((ended, ended_at), (live, live_at)) = (of(Short), of(Long));
    expect_none("a server", &ended, &wire.reach_client(&ended_at)?)?;
    expect_none("a client", &ended, &wire.reach_server(&ended_at)?)?;
    // Only one end refreshes each of them: both directions count.
    let half = live_at.len() / 2;
    expect_all(&live[..half], &wire.reach_client(&live_at[..half])?)?;
    expect_all(&live[half..], &wire.reach_server(&live_at[half..])?)?;
    let refreshed = Instant::now();
    ensure!(
        refreshed - begun < LONG,
        "this machine is too slow to tell: {:?}",
        refreshed - begun
    );

    // Beyond the time that they would have had without that.
    wait::until(LONG, "idle for longer than since the opening", || {
        ensure!(opened.elapsed() > LONG + SHORT / 4);
        Ok(())
    })?;
    ensure!(
        refreshed.elapsed() < LONG,
        "this machine is too slow to tell"
    );
    expect_all(&live, &wire.reach_client(&live_at)?).context("refreshed from one side")?;
    expect_all(&live, &wire.reach_server(&live_at)?).context("refreshed from one side")
}

/// As many are more than all rows.
const SECOND_TRY: u16 = 100;

/// A connection that has gone through these steps; once more, from other ports, where the machine stood still for
/// so long that the gateway was right to forget the first.
fn begin(wire: &Wire, number: u16, steps: &[Step]) -> Result<Connection> {
    let (client, server) = wire.ends(number);
    let begun = Instant::now();
    let connection = wire.syn(client, server)?;
    for step in steps {
        let stalled = begun.elapsed() > SHORT;
        match wire.steps(&connection, &[*step]) {
            Err(_) if stalled && number < SECOND_TRY => {
                return begin(wire, number + SECOND_TRY, steps);
            }
            done => done?,
        }
    }
    Ok(connection)
}

#[test]
fn an_established_connection_idle_beyond_its_time_is_gone_and_says_so() -> Result<()> {
    let sections = TIMEOUTS.replace("\"7s\"", "\"3s\"");
    let wire = Wire::start(&Plan {
        sections: &sections,
        ..Plan::routed("xdp")
    })?;
    let connections = [wire.open(1)?, wire.open(2)?];
    let [kept, idle] = connections;
    let opened = Instant::now();
    while opened.elapsed() < 2 * SHORT {
        std::thread::sleep(SHORT / 4);
        wire.steps(&kept, &[Out(ACK), In(ACK)])?;
    }
    expect_none("a server", &["idle"], &wire.reach_client(&[idle])?)?;
    expect_none("a client", &["idle"], &wire.reach_server(&[idle])?)?;
    wire.inside.next("an RST to the client", SOON, |heard| {
        let about = crate::wire::endpoints(heard) == Some((idle.server, idle.client));
        (about && crate::wire::flags(heard) & RST != 0).then_some(())
    })?;
    expect_all(&["busy"], &wire.reach_client(&[kept])?)
}

fn expect_none(who: &str, names: &[&str], arrived: &BTreeSet<usize>) -> Result<()> {
    let wrong: Vec<_> = arrived.iter().map(|at| names[*at]).collect();
    ensure!(
        wrong.is_empty(),
        "{who} got through though the flow must have ended: {wrong:?}"
    );
    Ok(())
}

fn expect_all(names: &[&str], arrived: &BTreeSet<usize>) -> Result<()> {
    let missing: Vec<_> = (0..names.len())
        .filter(|at| !arrived.contains(at))
        .map(|at| names[at])
        .collect();
    ensure!(missing.is_empty(), "the flow must live: {missing:?}");
    Ok(())
}
