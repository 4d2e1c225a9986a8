//! `snat-ctl pools`: external ports, and when they run out.

use std::process::ExitCode;

use anyhow::Context as _;

use super::{
    flows::loaded,
    words::{endpoint, exhausted, growth, percent},
};
use crate::{
    cli::{Global, pools::PoolsArgs},
    datapath::{Destination, Growing, Outlook, Pool, outlook},
    output,
};

/// Prints the pools and the fullest destinations. Needs no daemon.
///
/// # Errors
///
/// When nothing is loaded under that name or its maps can't be read.
pub fn execute(global: &Global, args: &PoolsArgs) -> anyhow::Result<ExitCode> {
    let pins = loaded(global.instance())?;
    let outlook = outlook(&pins, args.interval, args.limit).context("cannot count the ports")?;
    if args.json {
        output::print_json(&outlook)?;
    } else {
        output::print(&screen(&outlook))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn screen(outlook: &Outlook) -> String {
    let pools = pools(&outlook.pools);
    if outlook.destinations.is_empty() {
        return pools;
    }
    format!("{pools}\n{}", destinations(&outlook.destinations))
}

fn pools(pools: &[Growing<Pool>]) -> String {
    let titles = [
        "EXTERNAL",
        "PROTO",
        "CAPACITY",
        "USED",
        "RESTING",
        "FREE",
        "USED %",
        "GROWTH",
        "EXHAUSTED",
    ];
    let mut table = output::table(&titles, 2);
    for pool in pools {
        let Pool {
            external,
            protocol,
            capacity,
            used,
            resting,
            free,
        } = &pool.what;
        table.add_row([
            external.to_string(),
            (*protocol).to_owned(),
            capacity.to_string(),
            used.to_string(),
            resting.to_string(),
            free.to_string(),
            percent(capacity - free, *capacity),
            growth(pool.growth_per_second),
            exhausted(pool.exhausted_in_seconds),
        ]);
    }
    output::rows(&table) + "\n"
}

fn destinations(destinations: &[Growing<Destination>]) -> String {
    let titles = [
        "EXTERNAL",
        "PROTO",
        "SERVER",
        "CAPACITY",
        "USED",
        "FREE",
        "USED %",
        "GROWTH",
        "EXHAUSTED",
    ];
    let mut table = output::table(&titles, 3);
    for destination in destinations {
        let Destination {
            external,
            protocol,
            server,
            server_port,
            used,
            capacity,
            free,
        } = &destination.what;
        table.add_row([
            external.to_string(),
            (*protocol).to_owned(),
            endpoint(*server, *server_port),
            capacity.to_string(),
            used.to_string(),
            free.to_string(),
            percent(*used, *capacity),
            growth(destination.growth_per_second),
            exhausted(destination.exhausted_in_seconds),
        ]);
    }
    output::rows(&table) + "\n"
}
