//! Packets per second of flows that exist.

use anyhow::{Context as _, Result};

use crate::{
    bench::{Bench, Options},
    contender::{Contender, Running},
    measure::{Measure, offer::offer, steadily::steadily},
    proof,
    results::Quantity,
    stage::{Poller, Shape, Stage},
    traffic::Flows,
};

/// The measurement.
pub(crate) const MEASURE: Measure = Measure {
    name: "established",
    about: "packets per second of flows that exist",
    rounds: u32::MAX,
    run,
};

/// Small packets.
pub(crate) const SMALL: Quantity = Quantity {
    name: "established flows, 64 B",
    unit: "packets/s",
    over: "flows",
};
/// Packets as large as an Ethernet takes.
pub(crate) const LARGE: Quantity = Quantity {
    name: "established flows, 1500 B",
    unit: "packets/s",
    over: "flows",
};
/// In and out by the same interface.
pub(crate) const ONE_ARM: Quantity = Quantity {
    name: "established flows, 64 B, one arm",
    unit: "packets/s",
    over: "flows",
};
/// Packets that are still in the cache of the CPU that made them: it takes them all the way.
pub(crate) const ONE_CPU: Quantity = Quantity {
    name: "established flows, 64 B, on one CPU",
    unit: "packets/s",
    over: "flows",
};

/// A million flows take a while to come into being, so there are not so many rounds of them.
const MANY: u32 = 1_000_000;
const ROUNDS_OF_MANY: u32 = 3;

const ROUTED: [Contender; 9] = [
    Contender::Drop,
    Contender::Redirect,
    Contender::Find,
    Contender::Routing,
    Contender::Masquerade,
    Contender::Flowtable,
    Contender::Snat("xdp"),
    Contender::Snat("xdp-generic"),
    Contender::Snat("tc"),
];
const ONE_ARMED: [Contender; 5] = [
    Contender::Transmit,
    Contender::Routing,
    Contender::Masquerade,
    Contender::Snat("xdp"),
    Contender::Snat("tc"),
];

const ON_ONE_CPU: [Contender; 6] = [
    Contender::Redirect,
    Contender::Find,
    Contender::Routing,
    Contender::Masquerade,
    Contender::Snat("xdp"),
    Contender::Snat("tc"),
];

fn run(bench: &mut Bench) -> Result<()> {
    for contender in bench.in_turn(&ROUTED) {
        attempt(bench, contender, Shape::Routed, Poller::Thread);
    }
    for contender in bench.in_turn(&ONE_ARMED) {
        attempt(bench, contender, Shape::OneArm, Poller::Thread);
    }
    for contender in bench.in_turn(&ON_ONE_CPU) {
        attempt(bench, contender, Shape::Routed, Poller::Sender);
    }
    Ok(())
}

/// Whoever fails is noted, and the others have their turn.
fn attempt(bench: &mut Bench, contender: Contender, shape: Shape, poller: Poller) {
    let session = session(bench, contender, shape, poller);
    bench.note_failure(session.with_context(|| contender.name()));
}

/// All of one contender, started once: the flows of a case are among those of the next.
fn session(bench: &mut Bench, contender: Contender, shape: Shape, poller: Poller) -> Result<()> {
    let stage = Stage::polled(shape, poller)?;
    let Some(running) = bench.start(contender, &stage)? else {
        return Ok(());
    };
    let sink = match contender {
        Contender::Drop => None,
        _ => Some(bench.traffic.sink(&stage.outside()?)?),
    };
    for (quantity, flows) in cases(bench, shape, poller, contender) {
        let case = case(bench, quantity, flows, contender, &running, &stage);
        let what = || format!("{}, {}, {flows} flows", contender.name(), quantity.name);
        bench.note_failure(case.with_context(what));
    }
    running.stop(&stage, &mut bench.traffic)?;
    sink.map_or(Ok(()), |sink| bench.traffic.detach(sink))
}

fn case(
    bench: &mut Bench,
    quantity: Quantity,
    flows: u32,
    contender: Contender,
    running: &Running,
    stage: &Stage,
) -> Result<()> {
    let frame_len = if quantity == LARGE { 1514 } else { 60 };
    let load = Flows::of(flows, frame_len);
    offer(bench, contender, running, stage, &load)?;
    let Some(run) = steadily(bench, quantity, contender, stage, &load)? else {
        return Ok(());
    };
    proof::check(contender, stage, running, &bench.traffic, &load)?;
    let results = &mut bench.results;
    results.add(quantity, u64::from(flows), contender.name(), run.rate());
    Ok(())
}

fn cases(
    bench: &mut Bench,
    shape: Shape,
    poller: Poller,
    contender: Contender,
) -> Vec<(Quantity, u32)> {
    match (shape, poller) {
        (Shape::OneArm, _) => return vec![(ONE_ARM, 1000)],
        (Shape::Routed, Poller::Sender) => return vec![(ONE_CPU, 1000)],
        (Shape::Routed, Poller::Thread) => {}
    }
    let mut cases = vec![(SMALL, 1), (SMALL, 1000), (LARGE, 1000), (SMALL, 50_000)];
    if has_many(bench, contender) {
        cases.push((SMALL, MANY));
    }
    cases
}

fn has_many(bench: &mut Bench, contender: Contender) -> bool {
    let Options { quick, tracked, .. } = bench.options;
    let late = quick || bench.round >= ROUNDS_OF_MANY;
    if late || matches!(contender, Contender::Drop | Contender::Snat("xdp-generic")) {
        return false;
    }
    let tracks = matches!(contender, Contender::Masquerade | Contender::Flowtable);
    if tracks && tracked < 2 * MANY {
        bench.results.note(format!(
            "{} at {MANY} flows was not measured: the kernel's connection tracking could not be made larger than {tracked}.",
            contender.name()
        ));
        return false;
    }
    true
}
