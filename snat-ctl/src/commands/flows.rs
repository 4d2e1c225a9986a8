//! `snat-ctl flows`: the flow table as a person reads it.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;

use crate::{
    cli::{FlowsArgs, Global},
    datapath::{self, Flow, Pins},
    output,
};

/// Lists the flows. Needs no daemon.
///
/// # Errors
///
/// When nothing is loaded under that name or the table can't be read.
pub fn execute(global: &Global, args: &FlowsArgs) -> anyhow::Result<ExitCode> {
    let pins = loaded(global.instance())?;
    let mut flows = datapath::flows(&pins).context("cannot list the flows")?;
    flows.sort_by_key(|flow| (flow.client, flow.client_port, flow.server, flow.server_port));
    if args.list().json {
        output::print_json(&flows)?;
    } else {
        output::print(&table(&flows))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The instance's pins, if it has any.
///
/// # Errors
///
/// Says what to do where there are none.
pub(super) fn loaded(name: &str) -> anyhow::Result<Pins> {
    let pins = Pins::of(name);
    anyhow::ensure!(
        pins.complete(),
        "no datapath of instance {name:?} is loaded ({} is not there or not whole); start it with `snat-ctl run`, or name another with --name",
        pins.dir().display()
    );
    Ok(pins)
}

fn table(flows: &[Flow]) -> String {
    let mut table = output::table(
        &[
            "PROTO",
            "CLIENT",
            "EXTERNAL",
            "SERVER",
            "STATE",
            "AGE",
            "IDLE",
            "PKTS OUT",
            "BYTES OUT",
            "PKTS IN",
            "BYTES IN",
        ],
        5,
    );
    for flow in flows {
        table.add_row([
            flow.protocol.to_owned(),
            format!("{}:{}", flow.client, flow.client_port),
            format!("{}:{}", flow.external, flow.external_port),
            format!("{}:{}", flow.server, flow.server_port),
            flow.state.to_owned(),
            seconds(flow.age_seconds),
            seconds(flow.idle_seconds),
            flow.packets_out.to_string(),
            flow.bytes_out.to_string(),
            flow.packets_in.to_string(),
            flow.bytes_in.to_string(),
        ]);
    }
    let noun = if flows.len() == 1 { "flow" } else { "flows" };
    format!("{}\n{} {noun}\n", output::rows(&table), flows.len())
}

/// Whole seconds, as `2h 4m`.
fn seconds(seconds: f64) -> String {
    humantime::format_duration(Duration::from_secs(seconds as u64)).to_string()
}
