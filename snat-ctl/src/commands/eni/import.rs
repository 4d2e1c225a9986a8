//! `snat-ctl eni import`: what is there already, as a configuration.

use std::{
    fs,
    io::{self, Read as _},
    path::Path,
    process::ExitCode,
};

use anyhow::Context as _;
use serde::Serialize;

use crate::{
    cli::eni::{EniArgs, ImportArgs},
    eni::{Host, import, table_names},
    output,
};

pub(super) fn execute(args: &EniArgs, import: &ImportArgs) -> anyhow::Result<ExitCode> {
    let host = Host::read().context("cannot read the host's interfaces, routes and rules")?;
    let interfaces = host.interfaces();
    let imported = match &import.file {
        Some(file) => import::script(&read(file)?, &interfaces, &table_names()),
        None => import::kernel(&host.rules, &host.routes, &interfaces),
    };
    let notes: Vec<_> = imported.notes.iter().map(ToString::to_string).collect();
    if args.json {
        let config = imported.to_toml();
        output::print_json(&Report { config, notes })?;
        return Ok(ExitCode::SUCCESS);
    }
    for note in notes {
        eprintln!("note: {note}");
    }
    output::print(&imported.to_toml())?;
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    if file == Path::new("-") {
        let read = io::stdin().read_to_string(&mut text);
        read.context("cannot read standard input")?;
        return Ok(text);
    }
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The JSON form, whose names are part of the contract.
#[derive(Serialize)]
struct Report {
    /// TOML.
    config: String,
    notes: Vec<String>,
}
