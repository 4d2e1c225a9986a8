//! Packets per second of flows that exist.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::{
    contender::Contender,
    results::{Quantity, Results},
    stage::{Shape, Stage},
    traffic::{Flows, Traffic},
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

/// Measures one contender.
pub(crate) fn measure(
    quantity: Quantity,
    contender: Contender,
    flows: u32,
    lasting: Duration,
    traffic: &mut Traffic,
    results: &mut Results,
) -> Result<()> {
    let shape = if quantity == ONE_ARM {
        Shape::OneArm
    } else {
        Shape::Routed
    };
    let frame_len = if quantity == LARGE { 1514 } else { 60 };
    let stage = Stage::build(shape)?;
    let sink = match contender {
        Contender::Drop => None,
        _ => Some(traffic.sink(&stage.outside()?)?),
    };
    let running = contender.start(&stage, traffic)?;
    let load = Flows::of(flows, frame_len);
    let mut known = None;
    for _ in 0..OFFERS {
        traffic.once(&stage.inside()?, &load)?;
        known = running.flows(&stage)?;
        if known.is_none_or(|known| known >= u64::from(flows)) {
            break;
        }
    }
    ensure!(
        known.is_none_or(|known| known >= u64::from(flows)),
        "{}: {known:?} flows after {flows} were offered {OFFERS} times",
        contender.name()
    );
    let run = traffic.steady(&stage.inside()?, &load, lasting)?;
    results.add(quantity, u64::from(flows), contender.name(), run.rate());
    running.stop(&stage, traffic)?;
    sink.map_or(Ok(()), |sink| traffic.detach(sink))
}
