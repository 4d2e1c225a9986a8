//! As many packets of flows as can be.

use anyhow::Result;

use crate::{
    bench::Bench,
    contender::Contender,
    counts::Run,
    results::Quantity,
    stage::{Poller, Stage},
    traffic::Flows,
};

/// Who loses less could be faster.
const LOST: f64 = 0.01;
/// How often that is tried.
const TRIES: u32 = 3;

/// Sends flows' packets over and over. As long as all arrive, it is the generator that was measured: once more, then.
/// If it stays so, nothing is told of the contender. Not where who makes packets takes them all the way: there all
/// arrive.
pub(crate) fn steadily(
    bench: &mut Bench,
    quantity: Quantity,
    contender: Contender,
    stage: &Stage,
    load: &Flows,
) -> Result<Option<Run>> {
    let (lasting, from) = (bench.lasting(), stage.inside()?);
    let mut once = || bench.undisturbed(|traffic| traffic.steady(&from, load, lasting));
    let mut run = once()?;
    if from.poller == Poller::Sender {
        return Ok(Some(run));
    }
    for _ in 1..TRIES {
        if run.lost() >= LOST {
            break;
        }
        run = once()?;
    }
    if run.lost() >= LOST || contender == Contender::Drop {
        return Ok(Some(run));
    }
    bench.results.note(format!(
        "{}, {} flows, {}: not measured in a round, for the generator was the limit: all that it sent arrived.",
        quantity.name,
        load.count,
        contender.name()
    ));
    Ok(None)
}
