//! `snat-ctl flows`: the flow table as a person reads it.

use std::{fs, io, net::Ipv4Addr, process::ExitCode, time::Duration};

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
    let pins = readable(name)?;
    anyhow::ensure!(
        pins.complete(),
        "no datapath of instance {name:?} is loaded ({} is not there or not whole); start it with `snat-ctl run`, or name another with --name",
        pins.dir().display()
    );
    Ok(pins)
}

/// The instance's pins, whether there or not.
///
/// # Errors
///
/// When this user may not look: what cannot be seen is not the same as what is not there.
pub(super) fn readable(name: &str) -> anyhow::Result<Pins> {
    let pins = Pins::of(name);
    match fs::metadata(pins.dir()) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(error).with_context(|| {
                let dir = pins.dir().display();
                format!("cannot look into {dir}, run as root: sudo snat-ctl ...")
            })
        }
        _ => Ok(pins),
    }
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
            flow.protocol.to_string(),
            endpoint(flow.client, flow.client_port),
            endpoint(flow.external, flow.external_port),
            endpoint(flow.server, flow.server_port),
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

/// Protocols without ports have none, and an ICMP echo has nothing in their place at the server's side.
fn endpoint(addr: Ipv4Addr, port: u16) -> String {
    match port {
        0 => addr.to_string(),
        port => format!("{addr}:{port}"),
    }
}

/// Whole seconds, as `2h 4m`.
fn seconds(seconds: f64) -> String {
    humantime::format_duration(Duration::from_secs(seconds as u64)).to_string()
}
