//! New flows per second: every packet is the first of its flow.

use anyhow::{Context as _, Result, ensure};

use crate::{
    bench::Bench,
    contender::Contender,
    measure::Measure,
    results::Quantity,
    stage::{Shape, Stage},
    traffic::Flows,
};

/// The measurement.
pub(crate) const MEASURE: Measure = Measure {
    name: "new_flows",
    about: "new flows per second",
    rounds: u32::MAX,
    run,
};

/// 32,768 endpoints of clients, each to six servers, a server after the other.
pub(crate) const MANY: Quantity = of("new flows, many endpoints, auto");
/// 1024 endpoints, each to 192 servers: nearly all flows find their endpoint's port.
pub(crate) const FEW: Quantity = of("new flows, few endpoints, auto");
/// No two flows of the same endpoint: each needs a port of its own.
pub(crate) const OWN: Quantity = of("new flows, an endpoint each, auto");
/// Those of [`MANY`]; a port is claimed for each flow.
pub(crate) const DEPENDENT: Quantity = of("new flows, many endpoints, address-and-port-dependent");

const CONTENDERS: [Contender; 3] = [
    Contender::Masquerade,
    Contender::Snat("xdp"),
    Contender::Snat("tc"),
];

/// The traffic of some quantities.
struct Case {
    flows: u32,
    endpoints: u32,
    /// What comes of it, each with the mapping that a gateway of ours has.
    quantities: &'static [(Quantity, &'static str)],
}

const CASES: [Case; 3] = [
    Case {
        flows: 6 * 32_768,
        endpoints: 32_768,
        quantities: &[(MANY, "auto"), (DEPENDENT, "address-and-port-dependent")],
    },
    Case {
        flows: 192 * 1024,
        endpoints: 1024,
        quantities: &[(FEW, "auto")],
    },
    Case {
        flows: 49_152,
        endpoints: 49_152,
        quantities: &[(OWN, "auto")],
    },
];

const fn of(name: &'static str) -> Quantity {
    Quantity {
        name,
        unit: "flows/s",
        over: "",
    }
}

fn run(bench: &mut Bench) -> Result<()> {
    for case in &CASES {
        for contender in bench.in_turn(&CONTENDERS) {
            let mut known = None;
            for &(quantity, mapping) in case.quantities {
                // The kernel's NAT has one way, which is compared with each of ours.
                let rate = match (contender, known) {
                    (Contender::Masquerade, Some(rate)) => rate,
                    _ => measure(bench, case, contender, mapping)?,
                };
                known = Some(rate);
                bench.results.add(quantity, 0, contender.name(), rate);
            }
        }
    }
    Ok(())
}

/// One burst through one contender.
fn measure(bench: &mut Bench, case: &Case, contender: Contender, mapping: &str) -> Result<f64> {
    let traffic = &mut bench.traffic;
    let stage = Stage::on_one_cpu(Shape::Routed)?;
    let sink = traffic.sink(&stage.outside()?)?;
    let entry = format!("mapping = {mapping:?}");
    let running = contender.start_with(&stage, traffic, &entry)?;
    let flows = Flows {
        endpoints: case.endpoints,
        ..Flows::of(case.flows, 60)
    };
    let burst = traffic.burst(&stage.inside()?, &flows)?;
    let known = running.flows(&stage)?.context("no flows are counted")?;
    let all = u64::from(case.flows);
    ensure!(
        (burst.sent, burst.arrived, known) == (all, all, all),
        "{}: of {all} new flows {known} are there, and of {} packets {} arrived",
        contender.name(),
        burst.sent,
        burst.arrived
    );
    running.stop(&stage, traffic)?;
    traffic.detach(sink)?;
    Ok(burst.rate())
}
