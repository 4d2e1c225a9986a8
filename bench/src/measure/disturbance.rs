//! What the control plane's work costs the packets: their rate while it works, of their rate while it does not.
//!
//! The packets have a CPU of their own; the daemon and the commands have another. What is left are the memory and the
//! tables' locks that they share.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{gateway::Gateway, scrape};

use crate::{
    bench::Bench,
    contender::{config, flows_of},
    counts::Counts,
    measure::{Measure, daemon::Daemon},
    results::{Quantity, Results},
    stage::{Poller, Shape, Stage},
    traffic::{Flows, Traffic},
};

/// The measurement.
pub(crate) const MEASURE: Measure = Measure {
    name: "disturbance",
    about: "packet rate while the control plane works",
    rounds: 3,
    run,
};

/// Rate during the work, of the rate without.
pub(crate) const RATE: Quantity = Quantity {
    name: "packet rate while the control plane works",
    unit: "of undisturbed",
    over: "flows",
};

/// Where `[metrics]` serves.
const METRICS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9469);

const FEW: u32 = 1000;
const MANY: u32 = 1_000_000;
/// Commands that look at all of the flows.
const LARGE: [&[&str]; 1] = [&["flows", "--limit", "20", "--sort", "bytes"]];
/// Those that do not.
const SMALL: [&[&str]; 2] = [&["pools"], &["status"]];
/// What is shorter is done again.
const WINDOW: Duration = Duration::from_millis(300);
const SECOND: Duration = Duration::from_secs(1);
/// With and without, in turn, this often.
const PAIRS: u32 = 2;
/// How often flows are offered that did not get through at first.
const OFFERS: u32 = 5;
/// Of a CPU, what a daemon that sweeps without a pause takes at least.
const SWEEPING: f64 = 0.2;

/// A timeout of a second is looked after four times a second: so the sweeps of a million flows have no pause.
const SECTIONS: &str = "[timeouts]\nudp = \"2h\"\nother = \"1s\"\n\n[metrics]\n";

fn run(bench: &mut Bench) -> Result<()> {
    bench
        .results
        .note("cost of a reload to traffic: not built yet, so not measured".to_owned());
    if !bench.options.quick {
        with(bench, MANY, many)?;
    }
    with(bench, FEW, few)
}

fn many(work: &mut Work<'_>) -> Result<()> {
    let daemon = Daemon::of(work.gateway);
    let mut busy = Vec::new();
    work.compare("a sweep without pause", &mut |with| {
        if !with {
            return daemon.asleep(|| {
                sleep(SECOND);
                Ok(())
            });
        }
        busy.push(daemon.busy(|| {
            sleep(SECOND);
            Ok(())
        })?);
        Ok(())
    })?;
    ensure!(
        busy.iter().all(|share| *share >= SWEEPING),
        "the daemon did not sweep all the time: it used {busy:?} of a CPU"
    );
    let gateway = work.gateway;
    let stage = work.stage;
    work.compare("a scrape each second", &mut |with| {
        let begin = Instant::now();
        if with {
            let answer = scrape::get(stage.gateway(), METRICS, "/metrics")?;
            ensure!(answer.code == 200, "a scrape brought {answer:?}");
        }
        sleep(SECOND.saturating_sub(begin.elapsed()));
        Ok(())
    })?;
    daemon.asleep(|| {
        LARGE
            .iter()
            .try_for_each(|arguments| work.command(gateway, arguments))
    })
}

fn few(work: &mut Work<'_>) -> Result<()> {
    let gateway = work.gateway;
    SMALL
        .iter()
        .try_for_each(|arguments| work.command(gateway, arguments))
}

/// Packets pass, and something else is done.
struct Work<'a> {
    gateway: &'a Gateway,
    stage: &'a Stage,
    flows: u32,
    counts: &'a Counts,
    results: &'a mut Results,
}

impl Work<'_> {
    /// A command as often as it fits in, and as long without.
    fn command(&mut self, gateway: &Gateway, arguments: &[&str]) -> Result<()> {
        let mut took = WINDOW;
        self.compare(&arguments.join(" "), &mut |with| {
            let begin = Instant::now();
            if !with {
                sleep(took);
                return Ok(());
            }
            while begin.elapsed() < WINDOW {
                let said = gateway.ctl(arguments)?;
                ensure!(!said.is_empty(), "{arguments:?} said nothing");
            }
            took = begin.elapsed();
            Ok(())
        })
    }

    /// How many packets pass while something is done, of those while it isn't.
    fn compare(&mut self, what: &str, done: &mut dyn FnMut(bool) -> Result<()>) -> Result<()> {
        for _ in 0..PAIRS {
            let mut rate = |with| Ok::<_, anyhow::Error>(self.counts.over(|| done(with))?.rate());
            let (during, without) = (rate(true)?, rate(false)?);
            ensure!(without > 0.0, "no packet passed");
            let flows = u64::from(self.flows);
            self.results.add(RATE, flows, what, during / without);
        }
        Ok(())
    }
}

/// With so many flows, of which each has packets all the while.
fn with(bench: &mut Bench, count: u32, body: fn(&mut Work<'_>) -> Result<()>) -> Result<()> {
    let stage = Stage::polled(Shape::Routed, Poller::Sender)?;
    let sink = bench.traffic.sink(&stage.outside()?)?;
    let config = config(&stage, "xdp", SECTIONS);
    let gateway = Gateway::start_in(stage.gateway().name(), "bench", &config, &[])?;
    let flows = Flows::of(count, 60);
    open(&mut bench.traffic, &stage, &gateway, &flows)?;
    let Bench {
        traffic, results, ..
    } = bench;
    traffic.during(&stage.inside()?, &flows, None, |counts| {
        body(&mut Work {
            gateway: &gateway,
            stage: &stage,
            flows: count,
            counts,
            results,
        })
    })?;
    drop(gateway);
    bench.traffic.detach(sink)
}

fn open(traffic: &mut Traffic, stage: &Stage, gateway: &Gateway, flows: &Flows) -> Result<()> {
    for _ in 0..OFFERS {
        traffic.once(&stage.inside()?, flows)?;
        if flows_of(gateway)? >= u64::from(flows.count) {
            return Ok(());
        }
    }
    let known = flows_of(gateway)?;
    Err(anyhow::anyhow!(
        "{known} flows after {} were offered {OFFERS} times",
        flows.count
    ))
    .context("opening flows")
}
