//! `snat-ctl adopt`: the kernel's NAT connections become the gateway's, and none of them notices.

use std::{fs, process::ExitCode};

use anyhow::{Context as _, bail};
use serde::Serialize;
use snat_common::transfer::Transfer;

use crate::{
    adopt::{Cut, Judge, Taken, Taker, Tally, plan},
    check,
    cli::{Global, adopt::AdoptArgs},
    config::{Config, File},
    daemon::{Daemon, Wanted},
    datapath::{Pins, transfer},
    instance::{AtWork, Lock, recorded_interfaces, take_down},
    output,
};

/// A connection that lives would be cut.
const FOUND: u8 = 3;

/// Plans, and unless that is all, loads the datapath with the connections in it.
///
/// # Errors
///
/// A wrong configuration, a host that is not ready, a daemon at work, too small a table: nothing was changed then. What
/// fails on the way up is taken down again, and the kernel goes on.
pub fn execute(global: &Global, args: &AdoptArgs) -> anyhow::Result<ExitCode> {
    let file = File::load_for(&args.config, global.name.as_deref())?;
    let Some(config) = &file.gateway else {
        bail!(
            "{} has no [gateway]: there is nothing that could take connections over",
            args.config.display()
        );
    };
    if args.plan {
        let (judge, tally) = plan(config)?;
        return tell(args, &Report::planned(config, &tally), &judge, &tally);
    }
    check::refuse_fatal(&check::preflight(config))?;
    let _lock = Lock::take(&file.name)?;
    for warning in &file.warnings {
        eprintln!("warning: {warning}");
    }
    let pins = Pins::of(&file.name);
    if is_at_work(&file.name, &pins)? {
        eprintln!(
            "instance {:?} translates already, and its clients' packets come by no NAT rule: nothing to take over",
            file.name
        );
        return print(args, &Report::done(config, &Taken::default()));
    }
    let (judge, tally) = plan(config)?;
    if tally.cuts() > 0 && !args.anyway {
        return tell(args, &Report::planned(config, &tally), &judge, &tally);
    }
    refuse_small(&judge, &tally)?;
    let taken = take(config, pins, judge)?;
    print(args, &Report::done(config, &taken))
}

/// Whether packets are translated, and nothing is half-way.
fn is_at_work(name: &str, pins: &Pins) -> anyhow::Result<bool> {
    // Filters on clsact have no links; the record alone knows of them.
    let attached = !pins.link_names().is_empty() || !recorded_interfaces(name).is_empty();
    Ok(attached && pins.complete() && transfer(pins)? == Transfer::None as u8)
}

fn refuse_small(judge: &Judge, tally: &Tally) -> anyhow::Result<()> {
    let room = judge.max_flows();
    if tally.taken_over > u64::from(room) {
        bail!(
            "{} connections are to be taken over and gateway.max_flows is {room}: nothing was changed; raise it",
            tally.taken_over
        );
    }
    Ok(())
}

fn take(config: &Config, pins: Pins, judge: Judge) -> anyhow::Result<Taken> {
    let mut taker = Taker::new(judge, pins);
    let begin = || taker.begin();
    let daemon = Daemon::start(config.clone(), None, &Wanted::Own(None), begin)?;
    let taken = taker.finish();
    let taken = taken.inspect_err(|_| {
        // The first error is the one to tell. The kernel still has its connections.
        let _ = take_down(&config.gateway.name);
    });
    drop(daemon);
    if taken.is_ok() {
        let text = fs::read_to_string(&config.path).context("cannot keep the configuration")?;
        AtWork::settle(&config.gateway.name, &text)?;
    }
    taken.context("the connections could not be taken over; the kernel goes on with them")
}

/// What was found, or done.
#[derive(Serialize)]
struct Report<'a> {
    instance: &'a str,
    adopted: bool,
    #[serde(flatten)]
    tally: &'a Tally,
    #[serde(skip_serializing_if = "Option::is_none")]
    late: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<u64>,
}

impl<'a> Report<'a> {
    fn planned(config: &'a Config, tally: &'a Tally) -> Self {
        Self {
            instance: &config.gateway.name,
            adopted: false,
            tally,
            late: None,
            lost: None,
        }
    }

    fn done(config: &'a Config, taken: &'a Taken) -> Self {
        Self {
            adopted: true,
            late: Some(taken.late),
            lost: Some(taken.lost),
            ..Self::planned(config, &taken.tally)
        }
    }
}

/// What would be, before anything is done.
fn tell(
    args: &AdoptArgs,
    report: &Report<'_>,
    judge: &Judge,
    tally: &Tally,
) -> anyhow::Result<ExitCode> {
    print(args, report)?;
    if tally.taken_over > u64::from(judge.max_flows()) {
        eprintln!(
            "too many for gateway.max_flows, which is {}: raise it",
            judge.max_flows()
        );
        return Ok(FOUND.into());
    }
    if tally.cuts() == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    if !args.plan {
        eprintln!(
            "nothing was changed: {} connections would be cut; --anyway takes over the others",
            tally.cuts()
        );
    }
    Ok(FOUND.into())
}

fn print(args: &AdoptArgs, report: &Report<'_>) -> anyhow::Result<ExitCode> {
    if args.json {
        output::print_json(report)?;
    } else {
        output::print(&screen(report))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn screen(report: &Report<'_>) -> String {
    let Tally {
        taken_over,
        by_protocol,
        left_to_the_kernel,
        ended,
        cut,
    } = report.tally;
    let mut table = output::table(&["CONNECTIONS", "COUNT"], 1);
    let (taken, cuts) = if report.adopted {
        ("taken over", "cut")
    } else {
        ("to be taken over", "would be cut")
    };
    table.add_row([taken.to_owned(), taken_over.to_string()]);
    for (protocol, count) in by_protocol {
        table.add_row([format!("  {protocol}"), count.to_string()]);
    }
    table.add_row([
        "left to the kernel".to_owned(),
        left_to_the_kernel.to_string(),
    ]);
    table.add_row(["over".to_owned(), ended.to_string()]);
    let sum: u64 = cut.iter().map(|cut| cut.count).sum();
    table.add_row([cuts.to_owned(), sum.to_string()]);
    if let Some(lost) = report.lost {
        table.add_row(["lost to new ones".to_owned(), lost.to_string()]);
    }
    let reasons: String = cut.iter().map(paragraph).collect();
    output::rows(&table) + "\n" + &reasons
}

/// Why some are cut, and the first of them.
fn paragraph(cut: &Cut) -> String {
    let mut text = format!("\n{} cut: {}\n", cut.count, cut.meaning);
    for example in &cut.examples {
        text += &format!(
            "  {} {} -> {}, seen as {} -> {}\n",
            example.protocol,
            example.source,
            example.destination,
            example.external,
            example.internal
        );
    }
    if cut.count > cut.examples.len() as u64 {
        text += "  …\n";
    }
    text
}
