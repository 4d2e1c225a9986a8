//! `cargo xtask soak`: the gateway under a mixed load, disturbed all the while, in a sandbox.

use std::{process::exit, time::Duration};

use anyhow::Result;
use snat_tests::soak::{Progress, Soak, Verdict};

use crate::{
    lab,
    sandbox::{self, Sandbox},
    setup,
};

/// Told once in this time: what happens in between is in the count of the end.
const TELL: Duration = Duration::from_secs(5);

/// Options of the verb.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long the load goes on; the round of disturbances under way is finished
    #[arg(long, value_name = "N", default_value_t = 20.0, value_parser = minutes)]
    minutes: f64,
    /// Decides about the disturbances, their order and the load; chosen and told if not given
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// The datapath, as in the configuration
    #[arg(long, default_value = "xdp", value_parser = ["xdp", "xdp-generic", "tc"])]
    datapath: String,
    /// Print one JSON document at the end instead of what happens
    #[arg(long)]
    json: bool,
    /// This is the process in the sandbox
    #[arg(long, hide = true)]
    inside: bool,
}

/// Runs it. Exits with 1 if something was wrong; what it was has been told.
pub(crate) fn main(args: &Args) -> Result<()> {
    if !args.inside {
        setup::ensure()?;
        lab::build()?;
        return lab::again_inside("the soak did not end as it must, see above");
    }
    sandbox::enter(Sandbox {
        network: true,
        processes: true,
    })?;
    let soak = Soak {
        time: Duration::from_secs_f64(args.minutes * 60.0),
        seed: args.seed.unwrap_or_else(|| fastrand::u64(..)),
        datapath: args.datapath.clone(),
    };
    let verdict = if args.json {
        soak.run(&mut |_| {})?
    } else {
        println!(
            "soak of {} minutes, datapath {}, seed {}",
            args.minutes, soak.datapath, soak.seed
        );
        let mut told = Duration::ZERO;
        soak.run(&mut |progress| tell(progress, &mut told))?
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&verdict)?);
    } else {
        print(&verdict);
    }
    exit(i32::from(!verdict.ok))
}

fn minutes(text: &str) -> Result<f64, String> {
    let minutes = text.parse().map_err(|_| "not a number")?;
    if (0.0..=10_000.0).contains(&minutes) {
        Ok(minutes)
    } else {
        Err("not between 0 and 10000".to_owned())
    }
}

fn tell(progress: &Progress, told: &mut Duration) {
    if progress.elapsed < *told + TELL {
        return;
    }
    *told = progress.elapsed;
    let carried = &progress.carried;
    println!(
        "{:>6.1} s  step {:<4} {:34} {:>7} transfers, {:>6} MB, {:>7} datagrams, {:>6} pings",
        progress.elapsed.as_secs_f64(),
        progress.step,
        progress.what,
        carried.transfers,
        carried.bytes / 1_000_000,
        carried.datagrams,
        carried.pings
    );
}

fn print(verdict: &Verdict) {
    let carried = &verdict.carried;
    println!(
        "\n{} disturbances in {:.0} s; clients reached the server again after {:.2} s at most",
        verdict.steps, verdict.seconds, verdict.longest_recovery_seconds
    );
    for (what, count) in &verdict.disturbances {
        println!("   {count:>6}  {what}");
    }
    println!("carried");
    for (what, count) in [
        ("TCP transfers, each from a new endpoint", carried.transfers),
        ("bytes of them, every one compared", carried.bytes),
        ("UDP datagrams there and back", carried.datagrams),
        ("of them in fragments", carried.fragmented),
        ("pings", carried.pings),
        ("given up while a link was disturbed", carried.excused),
    ] {
        println!("   {count:>12}  {what}");
    }
    println!(
        "verdict, datapath {}, seed {}",
        verdict.datapath, verdict.seed
    );
    for row in &verdict.rows {
        let mark = if row.ok { '✓' } else { '✗' };
        println!("   {mark} {:40} {}", row.what, row.seen);
    }
    if let Some(log) = &verdict.daemon_log {
        println!("the daemon said\n{log}");
    }
    if !verdict.ok {
        println!(
            "To run the same again: cargo xtask soak --datapath {} --seed {}",
            verdict.datapath, verdict.seed
        );
    }
}
