//! Packets per second of flows that exist.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::{
    bench::{Bench, Options},
    contender::{Contender, Running},
    counts::Run,
    measure::Measure,
    proof,
    results::Quantity,
    stage::{Shape, Stage},
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

/// How often flows are offered in vain: some packets get lost before they open one.
const OFFERS: u32 = 3;
/// How long each time.
const OFFERING: Duration = Duration::from_secs(1);
/// Who loses less could be faster.
const LOST: f64 = 0.01;
/// How often that is tried.
const TRIES: u32 = 3;
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

fn run(bench: &mut Bench) -> Result<()> {
    for contender in bench.in_turn(&ROUTED) {
        session(bench, Shape::Routed, contender)?;
    }
    for contender in bench.in_turn(&ONE_ARMED) {
        session(bench, Shape::OneArm, contender)?;
    }
    Ok(())
}

/// All of one contender, started once: the flows of a case are among those of the next.
fn session(bench: &mut Bench, shape: Shape, contender: Contender) -> Result<()> {
    let stage = Stage::build(shape)?;
    let Some(running) = bench.start(contender, &stage)? else {
        return Ok(());
    };
    let sink = match contender {
        Contender::Drop => None,
        _ => Some(bench.traffic.sink(&stage.outside()?)?),
    };
    for (quantity, flows) in cases(bench, shape, contender) {
        let frame_len = if quantity == LARGE { 1514 } else { 60 };
        let load = Flows::of(flows, frame_len);
        offer(bench, contender, &running, &stage, &load)?;
        let run = steadily(bench, quantity, contender, &stage, &load)?;
        bench
            .results
            .add(quantity, u64::from(flows), contender.name(), run.rate());
        let traffic = &bench.traffic;
        proof::check(contender, &stage, &running, traffic, &load)?;
    }
    running.stop(&stage, &mut bench.traffic)?;
    sink.map_or(Ok(()), |sink| bench.traffic.detach(sink))
}

fn cases(bench: &mut Bench, shape: Shape, contender: Contender) -> Vec<(Quantity, u32)> {
    if shape == Shape::OneArm {
        return vec![(ONE_ARM, 1000)];
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

/// Sends flows' packets over and over. As long as all arrive, it is the generator that was measured: once more, then.
fn steadily(
    bench: &mut Bench,
    quantity: Quantity,
    contender: Contender,
    stage: &Stage,
    load: &Flows,
) -> Result<Run> {
    let (lasting, from) = (bench.lasting(), stage.inside()?);
    let mut once = || bench.undisturbed(|traffic| traffic.steady(&from, load, lasting));
    let mut run = once()?;
    for _ in 1..TRIES {
        if run.lost() >= LOST {
            break;
        }
        let next = once()?;
        if next.rate() > run.rate() {
            run = next;
        }
    }
    if run.lost() < LOST {
        bench.results.note(format!(
            "{}, {} flows: for {} the generator was the limit, all that it sent arrived.",
            quantity.name,
            load.count,
            contender.name()
        ));
    }
    Ok(run)
}

/// Sends each flow's packet once, slowly, and then all of them as fast as it can until all flows exist.
fn offer(
    bench: &mut Bench,
    contender: Contender,
    running: &Running,
    stage: &Stage,
    load: &Flows,
) -> Result<()> {
    let from = stage.inside()?;
    bench.traffic.once(&from, load)?;
    let (mut most, mut in_vain) = (0, 0);
    while in_vain < OFFERS {
        match running.flows(stage)? {
            Some(known) if known < u64::from(load.count) => {
                in_vain = if known > most { 0 } else { in_vain + 1 };
                most = most.max(known);
            }
            _ => return Ok(()),
        }
        bench.traffic.steady(&from, load, OFFERING)?;
    }
    bail!(
        "{}: no more than {most} flows, though {} were offered again and again",
        contender.name(),
        load.count
    )
}
