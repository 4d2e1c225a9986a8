//! Flows that come into being: their packets are offered until the contender has them.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::{
    bench::Bench,
    contender::{Contender, Running},
    stage::Stage,
    traffic::Flows,
};

/// How often flows are offered in vain: some packets get lost before they open one.
const OFFERS: u32 = 3;
/// How long each time.
const OFFERING: Duration = Duration::from_secs(1);
/// So few in a thousand may be missing: what is measured is their packets, and next to all have a flow.
const MISSING: u64 = 1;

/// Sends each flow's packet once, slowly, and then all of them as fast as it can until all flows exist. A note says
/// how many, if some do not come into being.
///
/// # Errors
///
/// More than one in a thousand is missing.
pub(crate) fn offer(
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
    ensure!(
        suffices(most, load.count),
        "no more than {most} flows, though {} were offered again and again",
        load.count
    );
    bench.results.note(format!(
        "{}: of {} flows {most} came into being, and were measured.",
        contender.name(),
        load.count
    ));
    Ok(())
}

fn suffices(known: u64, offered: u32) -> bool {
    known * 1000 >= u64::from(offered) * (1000 - MISSING)
}

#[cfg(test)]
mod tests {
    use super::suffices;

    #[test]
    fn one_flow_in_a_thousand_may_be_missing() {
        assert!(suffices(999_000, 1_000_000));
        assert!(!suffices(998_999, 1_000_000));
        assert!(!suffices(0, 1));
    }
}
