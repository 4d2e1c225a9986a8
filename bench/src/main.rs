//! Measures the gateway beside the limit and the kernel's own NAT. `cargo xtask bench` builds and starts it.

mod contender;
mod measure;
mod results;
mod stage;
mod sys;
mod traffic;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use clap::Parser;

use crate::{contender::Contender, measure::established, results::Results, traffic::Traffic};

/// Options.
#[derive(Debug, Parser)]
struct Args {
    /// The object with generator, sink and limits
    #[arg(long)]
    object: PathBuf,
    /// How often everything is measured, in turn
    #[arg(long, default_value = "3")]
    rounds: u32,
    /// Milliseconds that a rate is measured for
    #[arg(long, default_value = "500")]
    ms: u64,
    /// Numbers of flows
    #[arg(long, value_delimiter = ',', default_value = "1,1000")]
    flows: Vec<u32>,
    /// Contenders
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "drop,redirect,routing,masquerade,xdp,xdp-generic,tc"
    )]
    who: Vec<String>,
    /// Which of the established-flow measurements
    #[arg(long, default_value = "small")]
    what: String,
}

fn main() -> Result<()> {
    let args = Args::parse();
    sys::leave_busy_cpu()?;
    let mut traffic = Traffic::load(&args.object)?;
    let mut results = Results::default();
    let quantity = match args.what.as_str() {
        "large" => established::LARGE,
        "one-arm" => established::ONE_ARM,
        _ => established::SMALL,
    };
    for _ in 0..args.rounds {
        for &flows in &args.flows {
            for who in &args.who {
                let contender =
                    Contender::named(who).with_context(|| format!("no contender {who}"))?;
                established::measure(
                    quantity,
                    contender,
                    flows,
                    Duration::from_millis(args.ms),
                    &mut traffic,
                    &mut results,
                )?;
            }
        }
    }
    for (place, summary) in results.summaries() {
        println!(
            "{:10} {:24} {:12.0} ({:.0}-{:.0}) {}; {:.1} ns",
            place.at,
            place.who,
            summary.median,
            summary.min,
            summary.max,
            place.quantity.unit,
            1e9 / summary.median
        );
    }
    Ok(())
}
