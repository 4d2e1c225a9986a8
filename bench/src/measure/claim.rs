//! What the first packet of a flow costs, over how many ports are taken.
//!
//! There is one external address, with 64,512 ports. Flows fill it up to an occupancy; then some more flows are
//! opened and timed, each by itself. Their clients' own ports are taken, so nobody can keep them. Where a port serves
//! one flow towards each destination, every server begins with all ports free: a gateway is measured several times.
//!
//! `snat_tc` is timed by the kernel (`prog_test_run`), from the packet's arrival at TC to the redirect. The kernel's NAT
//! has no such thing: there, the figure is of live frames from generator to sink, and ours is given in that way, too.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::{
    bench::Bench,
    classifier::Classifier,
    contender::{Contender, Running},
    measure::Measure,
    results::Quantity,
    stage::{Shape, Stage},
    traffic::Flows,
};

/// The measurement.
pub(crate) const MEASURE: Measure = Measure {
    name: "claim",
    about: "cost of a port claim over occupancy",
    rounds: u32::MAX,
    run,
};

/// `snat_tc` with `mapping = "address-and-port-dependent"`: a port that is free towards a server.
pub(crate) const TOWARDS: Quantity = of("port claim, towards one server");
/// `snat_tc` with `mapping = "endpoint-independent"`: a port that is nobody's.
pub(crate) const OWN: Quantity = of("port claim, of one's own");
/// Live frames: a port that is free towards a server.
pub(crate) const LIVE: Quantity = of("first packet, live, towards one server");
/// Who, for packets of the same flows as soon as they exist.
pub(crate) const HIT: &str = "snat-ctl tc, second packet";

/// The ports there are: 1024 to 65535.
const PORTS: u32 = 64_512;
/// Thousandths of the ports that are taken.
const LEVELS: [u32; 5] = [10, 500, 900, 990, 999];
/// Flows timed at each. At the last level 65 ports are left.
const TIMED: u32 = 32;
/// Numbers of endpoints of a server: those that fill, then those that are timed.
const ENDPOINTS: u32 = 65_536;
/// Servers, where each has all ports.
const SERVERS: u32 = 3;
/// How often flows are offered that found no port.
const OFFERS: u32 = 8;
/// So many may find none with the kernel's NAT: a quarter of a hundredth of the ports.
const MISSED: u64 = PORTS as u64 / 400;

const fn of(name: &'static str) -> Quantity {
    Quantity {
        name,
        unit: "ns",
        over: "ports taken, ‰",
    }
}

fn run(bench: &mut Bench) -> Result<()> {
    let servers = if bench.options.quick { 1 } else { SERVERS };
    program(bench, TOWARDS, "address-and-port-dependent", servers)?;
    program(bench, OWN, "endpoint-independent", 1)?;
    let contenders = [
        Contender::Masquerade,
        Contender::Snat("tc"),
        Contender::Snat("xdp"),
    ];
    for contender in bench.in_turn(&contenders) {
        live(bench, contender, servers)?;
    }
    Ok(())
}

/// Times `snat_tc` itself.
fn program(bench: &mut Bench, quantity: Quantity, mapping: &str, servers: u32) -> Result<()> {
    let contender = Contender::Snat("tc");
    let stage = Stage::on_one_cpu(Shape::Routed)?;
    let sink = bench.traffic.sink(&stage.outside()?)?;
    let entry = format!("mapping = {mapping:?}");
    let running = contender.start_with(&stage, &mut bench.traffic, &entry)?;
    let classifier = Classifier::of(&stage.lan()?)?;
    for server in 0..servers {
        let start = running.counted(&stage)?;
        for step in steps(server) {
            fill(bench, &stage, &running, &step, start)?;
            let frames = step.timed.frames(&stage.inside()?)?;
            let first = classifier.run(&stage.lan()?, &frames)?;
            let second = classifier.run(&stage.lan()?, &frames)?;
            let known = running.counted(&stage)? - start;
            ensure!(
                known == step.taken + u64::from(TIMED),
                "{known} flows, not {} and {TIMED} more",
                step.taken
            );
            let (at, results) = (u64::from(step.level), &mut bench.results);
            results.add(quantity, at, contender.name(), middle(first));
            results.add(quantity, at, HIT, middle(second));
        }
    }
    running.stop(&stage, &mut bench.traffic)?;
    bench.traffic.detach(sink)
}

/// Times all of the way.
fn live(bench: &mut Bench, contender: Contender, servers: u32) -> Result<()> {
    let stage = Stage::on_one_cpu(Shape::Routed)?;
    let sink = bench.traffic.sink(&stage.outside()?)?;
    let entry = "mapping = \"address-and-port-dependent\"";
    let running = contender.start_with(&stage, &mut bench.traffic, entry)?;
    for server in 0..servers {
        let start = running.counted(&stage)?;
        for step in steps(server) {
            fill(bench, &stage, &running, &step, start)?;
            let (arrived, each) = bench.traffic.each(&stage.inside()?, &step.timed)?;
            if arrived < u64::from(TIMED) {
                ensure!(
                    running.gateway.is_none(),
                    "{arrived} of {TIMED} packets arrived"
                );
                bench.results.note(format!(
                    "{}: with {} ‰ of the ports taken, flows find no port, and their packets are dropped; \
                     the search for it is in the figure",
                    contender.name(),
                    step.level
                ));
            }
            let ns = each.as_nanos() as f64;
            bench
                .results
                .add(LIVE, u64::from(step.level), contender.name(), ns);
        }
    }
    running.stop(&stage, &mut bench.traffic)?;
    bench.traffic.detach(sink)
}

/// From one occupancy to the next.
struct Step {
    level: u32,
    fill: Flows,
    timed: Flows,
    /// Flows of the server when it is filled.
    taken: u64,
}

fn steps(server: u32) -> Vec<Step> {
    let base = server * ENDPOINTS;
    let flows = |first: u32, count: u32| Flows {
        skip: base + first,
        endpoints: ENDPOINTS,
        ..Flows::of(base + first + count, 60)
    };
    let mut filled = 0;
    let levels = (0..).zip(LEVELS);
    let steps = levels.map(|(nth, level)| {
        let timed = nth * TIMED;
        // The flows timed before hold ports, too.
        let taken = PORTS * level / 1000;
        let more = taken - timed - filled;
        let fill = flows(filled, more);
        filled += more;
        Step {
            level,
            fill,
            timed: flows(PORTS + timed, TIMED),
            taken: u64::from(taken),
        }
    });
    steps.collect()
}

/// Offers flows until a server has as many as the step says, `start` being those before it. The kernel's NAT may find
/// no port for the last of them; ours must, at once.
fn fill(
    bench: &mut Bench,
    stage: &Stage,
    running: &Running,
    step: &Step,
    start: u64,
) -> Result<()> {
    let mut known = 0;
    for _ in 0..OFFERS {
        bench.traffic.burst(&stage.inside()?, &step.fill)?;
        let before = std::mem::replace(&mut known, running.counted(stage)? - start);
        if known >= step.taken || running.gateway.is_some() || known == before {
            break;
        }
    }
    let lacking = if running.gateway.is_some() { 0 } else { MISSED };
    ensure!(
        known + lacking >= step.taken,
        "{known} flows, not {}: new ones found no port",
        step.taken
    );
    Ok(())
}

fn middle(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    let half = times.len() / 2;
    times.get(half).map_or(0.0, |time| time.as_nanos() as f64)
}

#[cfg(test)]
mod tests {
    use super::{PORTS, TIMED, steps};

    #[test]
    fn every_step_ends_at_its_occupancy() {
        let (mut taken, steps) = (0, steps(0));
        for step in &steps {
            taken += step.fill.left();
            assert_eq!(taken, PORTS * step.level / 1000);
            taken += step.timed.left();
        }
        assert!(taken <= PORTS, "{taken}");
    }

    #[test]
    fn no_flow_comes_twice() {
        let mut next = [0, PORTS];
        for step in steps(0) {
            for (flows, next) in [&step.fill, &step.timed].into_iter().zip(&mut next) {
                assert_eq!(flows.skip, *next);
                *next = flows.count;
            }
            assert_eq!(step.timed.left(), TIMED);
        }
        assert!(next[0] <= PORTS);
    }
}
