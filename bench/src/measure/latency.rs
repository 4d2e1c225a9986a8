//! Latency under load: how long packets take from who makes them, through the gateway, to who receives them.
//!
//! Each packet says when it was made; where it arrives its age is counted. One CPU makes them at an even pace, the other
//! has the gateway, as behind a NIC: so what is in the figure is the wait in the device's queue, the translation, and the
//! way through the next veth pair. No socket and no process is in it, and every packet is a sample. One-way, so the bare
//! redirect is measured as well. A packet that is lost counts as one that took longer than any other.

use std::thread::sleep;

use anyhow::{Context as _, Result};

use crate::{
    bench::Bench,
    contender::Contender,
    counts::Run,
    measure::{Measure, times::Times},
    results::Quantity,
    stage::{Poller, Shape, Stage},
    traffic::Flows,
};

/// The measurement.
pub(crate) const MEASURE: Measure = Measure {
    name: "latency",
    about: "how long packets take while the gateway is at work",
    rounds: u32::MAX,
    run,
};

/// What half of all packets take at most.
pub(crate) const P50: Quantity = Quantity {
    name: "latency under load, p50",
    unit: "us",
    over: "% of what routing carries",
};
/// What 99 of 100 take at most.
pub(crate) const P99: Quantity = Quantity {
    name: "latency under load, p99",
    ..P50
};

const CONTENDERS: [Contender; 5] = [
    Contender::Redirect,
    Contender::Routing,
    Contender::Masquerade,
    Contender::Snat("xdp"),
    Contender::Snat("tc"),
];
/// In percent of what the kernel routes.
const LOADS: [u64; 4] = [1, 25, 50, 75];
const FLOWS: u32 = 1000;
/// So many times as long as a rate takes: of what is rare there has to be enough.
const LASTING: u32 = 3;
/// Of the load that is to be, so much has to be made: else it is another load.
const MADE: f64 = 0.97;
/// How often it is tried.
const TRIES: u32 = 3;

fn run(bench: &mut Bench) -> Result<()> {
    let lasting = bench.lasting();
    let full = with(bench, Contender::Routing, |bench, stage| {
        let run = bench.traffic.steady(&stage.inside()?, &load(), lasting)?;
        Ok(run.rate())
    })?;
    for contender in bench.in_turn(&CONTENDERS) {
        with(bench, contender, |bench, stage| {
            bench.traffic.once(&stage.inside()?, &load())?;
            for percent in LOADS {
                measure(bench, stage, contender, percent, full)
                    .with_context(|| format!("{} at {percent} %", contender.name()))?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Builds the stage, puts the contender to work, and takes it away again.
fn with<T>(
    bench: &mut Bench,
    contender: Contender,
    body: impl FnOnce(&mut Bench, &Stage) -> Result<T>,
) -> Result<T> {
    let stage = Stage::polled(Shape::Routed, Poller::Thread)?;
    let sink = bench.traffic.arrive(&stage.outside()?)?;
    let running = contender.start(&stage, &mut bench.traffic)?;
    let result = body(bench, &stage)?;
    running.stop(&stage, &mut bench.traffic)?;
    bench.traffic.detach(sink)?;
    Ok(result)
}

fn measure(
    bench: &mut Bench,
    stage: &Stage,
    contender: Contender,
    percent: u64,
    full: f64,
) -> Result<()> {
    let (who, rate) = (contender.name(), full * percent as f64 / 100.0);
    let mut made = 0.0;
    for _ in 0..TRIES {
        let (run, times) = at(bench, stage, rate as u64)?;
        made = run.sent as f64 / run.took.as_secs_f64() / rate;
        if made >= MADE {
            record(bench, who, percent, &times);
            return Ok(());
        }
    }
    bench.results.note(format!(
        "latency under load, {percent} %, {who}: not measured, for only {:.0} % of that load was made: is the machine idle?",
        made * 100.0
    ));
    Ok(())
}

fn at(bench: &mut Bench, stage: &Stage, rate: u64) -> Result<(Run, Times)> {
    let lasting = LASTING * bench.lasting();
    let from = stage.inside()?;
    bench.undisturbed(|traffic| {
        traffic.during(&from, &load(), Some(rate), |counts| {
            let before = counts.times()?;
            let run = counts.over(|| {
                sleep(lasting);
                Ok(())
            })?;
            let times = Times::between(&before, &counts.times()?, run.sent, run.arrived);
            Ok((run, times))
        })
    })
}

fn record(bench: &mut Bench, who: &str, percent: u64, times: &Times) {
    for (quantity, part) in [(P50, 0.5), (P99, 0.99)] {
        match times.within(part) {
            Some(nanoseconds) => {
                let microseconds = f64::from(nanoseconds) / 1e3;
                bench.results.add(quantity, percent, who, microseconds);
            }
            None => bench.results.note(format!(
                "{}, {percent} %, {who}: none, for {:.0} % of the packets were lost, or took longer than 17 ms",
                quantity.name,
                times.late() * 100.0
            )),
        }
    }
}

fn load() -> Flows {
    Flows::of(FLOWS, 60)
}
