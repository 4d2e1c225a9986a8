//! Measures the gateway beside the limit and the kernel's own NAT. `cargo xtask bench` builds and starts it.

mod bench;
mod classifier;
mod contender;
mod counts;
mod measure;
mod progress;
mod proof;
mod quiet;
mod replay;
mod report;
mod results;
mod stage;
mod sys;
mod traffic;
mod verify;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;

use crate::{
    bench::{Bench, Options},
    measure::Measure,
    progress::Progress,
    quiet::Quiet,
    report::{Machine, Report},
    results::Results,
    traffic::Traffic,
};

/// Options.
#[derive(Debug, Parser)]
struct Args {
    /// The object with generator, sink and limits
    #[arg(long)]
    object: PathBuf,
    /// How often everything is measured, in turn
    #[arg(long, default_value = "5", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Measure only these
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Only see that all of it works: short, and the numbers mean little
    #[arg(long)]
    quick: bool,
    /// Write the results there as JSON, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Folder of results.json, table.md and the plots
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    out: PathBuf,
    /// Flows that the kernel's connection tracking is large enough for
    #[arg(long, default_value = "262144")]
    tracked: u32,
}

fn main() -> ExitCode {
    // Displayed, not debugged: RUST_BACKTRACE must not bury the message.
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let measures = chosen(&args.only)?;
    sys::leave_busy_cpu()?;
    let mut bench = Bench {
        traffic: Traffic::load(&args.object)?,
        results: Results::default(),
        options: Options {
            rounds: if args.quick { 1 } else { args.rounds },
            quick: args.quick,
            tracked: args.tracked,
        },
        round: 0,
        absent: Vec::new(),
        quiet: Quiet::new(),
        failures: 0,
    };
    let awake = quiet::awake();
    if let Err(error) = &awake {
        let note = format!("CPUs could sleep between packets: {error:#}.");
        bench.results.note(note);
    }
    measure(&mut bench, &measures);
    let machine = Machine::look(bench.traffic.jited()?);
    let report = Report::new(machine, bench.options, &bench.results);
    report.tell(&args.out, args.json.as_deref())?;
    ensure!(
        bench.failures == 0,
        "{} times something could not be measured: the notes say what",
        bench.failures
    );
    Ok(())
}

/// Round by round, so that whatever changes on the machine meanwhile hits all alike.
fn measure(bench: &mut Bench, measures: &[Measure]) {
    let mut progress = Progress::new(bench.options.rounds, measures);
    for round in 0..bench.options.rounds {
        bench.round = round;
        for measure in measures.iter().filter(|measure| round < measure.rounds) {
            progress.begin(round, measure);
            let measured = (measure.run)(bench);
            bench.note_failure(measured.with_context(|| format!("all of {}", measure.name)));
            progress.end(measure);
        }
    }
}

fn chosen(only: &[String]) -> Result<Vec<Measure>> {
    if only.is_empty() {
        return Ok(measure::ALL.to_vec());
    }
    let known = || measure::ALL.iter().map(|measure| measure.name);
    only.iter()
        .map(|name| {
            Measure::named(name).with_context(|| {
                let known: Vec<_> = known().collect();
                format!(
                    "there is no measurement {name:?}; there is: {}",
                    known.join(", ")
                )
            })
        })
        .collect()
}
