//! Packets per second of flows that exist.

use anyhow::{Result, ensure};

use crate::{
    bench::Bench,
    contender::{Contender, Running},
    measure::Measure,
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

/// How often flows are offered that did not get through at first.
const OFFERS: u32 = 5;
/// A million flows take a while to come into being.
const MANY: u32 = 1_000_000;
/// In so many rounds.
const ROUNDS_OF_MANY: u32 = 3;

const KERNEL: [Contender; 2] = [Contender::Routing, Contender::Masquerade];
const OURS: [Contender; 2] = [Contender::Snat("xdp"), Contender::Snat("tc")];

/// One series of a round: what is measured at how many flows, and of whom.
struct Case {
    quantity: Quantity,
    flows: u32,
    contenders: Vec<Contender>,
}

fn run(bench: &mut Bench) -> Result<()> {
    for case in cases(bench) {
        for contender in bench.in_turn(&case.contenders) {
            measure(bench, case.quantity, contender, case.flows)?;
        }
    }
    Ok(())
}

fn cases(bench: &Bench) -> Vec<Case> {
    let case = |quantity, flows, limits: &[Contender], more: &[Contender]| Case {
        quantity,
        flows,
        contenders: [limits, &KERNEL, &OURS, more].concat(),
    };
    let limits = [Contender::Drop, Contender::Redirect];
    let generic = [Contender::Snat("xdp-generic")];
    let mut cases: Vec<_> = [1, 1000, 50_000]
        .map(|flows| case(SMALL, flows, &limits, &generic))
        .into();
    cases.push(case(LARGE, 1000, &limits, &generic));
    cases.push(case(ONE_ARM, 1000, &[Contender::Transmit], &[]));
    if bench.round < ROUNDS_OF_MANY && !bench.options.quick {
        cases.push(case(SMALL, MANY, &[Contender::Redirect], &[]));
    }
    cases
}

/// Measures one contender once.
fn measure(bench: &mut Bench, quantity: Quantity, contender: Contender, flows: u32) -> Result<()> {
    let shape = if quantity == ONE_ARM {
        Shape::OneArm
    } else {
        Shape::Routed
    };
    let load = Flows::of(flows, if quantity == LARGE { 1514 } else { 60 });
    let lasting = bench.lasting();
    let Bench {
        traffic, results, ..
    } = bench;
    let stage = Stage::build(shape)?;
    let sink = match contender {
        Contender::Drop => None,
        _ => Some(traffic.sink(&stage.outside()?)?),
    };
    let running = contender.start(&stage, traffic)?;
    for _ in 0..OFFERS {
        traffic.once(&stage.inside()?, &load)?;
        if knows(&running, &stage, flows)? {
            break;
        }
    }
    ensure!(
        knows(&running, &stage, flows)?,
        "{}: {:?} flows after {flows} were offered {OFFERS} times",
        contender.name(),
        running.flows(&stage)?
    );
    let run = traffic.steady(&stage.inside()?, &load, lasting)?;
    results.add(quantity, u64::from(flows), contender.name(), run.rate());
    running.stop(&stage, traffic)?;
    sink.map_or(Ok(()), |sink| traffic.detach(sink))
}

fn knows(running: &Running, stage: &Stage, flows: u32) -> Result<bool> {
    let known = running.flows(stage)?;
    Ok(known.is_none_or(|known| known >= u64::from(flows)))
}
