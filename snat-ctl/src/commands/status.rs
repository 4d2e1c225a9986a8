//! `snat-ctl status`: one screen.

use std::{collections::BTreeMap, fmt::Write as _, process::ExitCode};

use anyhow::Context as _;
use serde::Serialize;
use snat_common::{Action, Event, Verdict};

use super::flows::loaded;
use crate::{
    cli::{Global, StatusArgs},
    datapath::{self, Occupancy, Ports, Room},
    instance::{self, Record, RecordedInterface},
    output,
};

/// Prints how the instance is doing. Needs no daemon.
///
/// # Errors
///
/// When nothing is loaded under that name or its maps can't be read.
pub fn execute(global: &Global, args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let status = Status::read(global.instance())?;
    if args.json {
        output::print_json(&status)?;
    } else {
        output::print(&status.screen())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The JSON form, whose names are part of the contract.
#[derive(Serialize)]
struct Status {
    name: String,
    /// Process id of the daemon; traffic flows without one too.
    daemon: Option<i32>,
    config: Option<String>,
    interfaces: Vec<RecordedInterface>,
    entries: Vec<String>,
    flows: Room,
    /// What is beside the flow table: mappings, clients, ports.
    #[serde(flatten)]
    occupancy: Occupancy,
    /// By the event's name, since the datapath was loaded.
    events: BTreeMap<&'static str, u64>,
    /// By the verdict's name: packets and bytes since the datapath was loaded.
    verdicts: BTreeMap<&'static str, Count>,
    pins: String,
}

#[derive(Serialize)]
struct Count {
    action: &'static str,
    packets: u64,
    bytes: u64,
}

impl Status {
    fn read(name: &str) -> anyhow::Result<Self> {
        let pins = loaded(name)?;
        let record = Record::read(name);
        let (used, max) = datapath::usage(&pins).context("cannot count the flows")?;
        let totals = datapath::totals(&pins).context("cannot read the counters")?;
        let verdicts = Verdict::ALL
            .iter()
            .map(|verdict| {
                let (packets, bytes) = totals.get(verdict.name()).copied().unwrap_or_default();
                (
                    verdict.name(),
                    Count {
                        action: action_name(verdict.action()),
                        packets,
                        bytes,
                    },
                )
            })
            .collect();
        Ok(Self {
            name: name.to_owned(),
            daemon: instance::daemon(name),
            config: record
                .as_ref()
                .map(|record| record.config.display().to_string()),
            interfaces: record
                .as_ref()
                .map(|record| record.interfaces.clone())
                .unwrap_or_default(),
            entries: record.map(|record| record.entries).unwrap_or_default(),
            flows: Room { used, max },
            occupancy: datapath::occupancy(&pins).context("cannot count mappings and clients")?,
            events: datapath::events(&pins).context("cannot read the counters of events")?,
            verdicts,
            pins: pins.dir().display().to_string(),
        })
    }

    fn screen(&self) -> String {
        let mut text = String::new();
        let mut line = |title: &str, body: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{title:12}{body}");
        };
        line("instance", self.name.clone());
        line(
            "daemon",
            self.daemon.map_or_else(
                || "stopped; the datapath goes on without it, expired flows stay listed".to_owned(),
                |pid| format!("running, process {pid}"),
            ),
        );
        if let Some(config) = &self.config {
            line("config", config.clone());
        }
        for (index, interface) in self.interfaces.iter().enumerate() {
            let title = if index == 0 { "interfaces" } else { "" };
            let why = interface
                .reason
                .as_ref()
                .map(|why| format!("; {why}"))
                .unwrap_or_default();
            line(
                title,
                format!("{} ({}{why})", interface.name, interface.mode),
            );
        }
        line("entries", self.entries.join(", "));
        let Occupancy {
            mappings,
            forwards,
            clients,
            ports,
        } = &self.occupancy;
        line("flows", share(self.flows));
        line("mappings", share(*mappings));
        line("clients", share(*clients));
        if *forwards > 0 {
            line("forwards", forwards.to_string());
        }
        for (index, ports) in ports.iter().enumerate() {
            let title = if index == 0 { "ports" } else { "" };
            line(title, port_use(ports));
        }
        let shared = self.events[Event::PortShared.name()];
        if shared > 0 {
            line(
                "sharing",
                format!(
                    "{shared} flows had no port of their own left and share one between destinations"
                ),
            );
        }
        line("pins", self.pins.clone());

        let mut table = output::table(&["ACTION", "VERDICT", "MEANING", "PACKETS", "BYTES"], 3);
        for verdict in Verdict::ALL {
            let count = &self.verdicts[verdict.name()];
            if count.packets > 0 {
                table.add_row([
                    count.action.to_owned(),
                    verdict.name().to_owned(),
                    verdict.describe().trim().to_owned(),
                    count.packets.to_string(),
                    count.bytes.to_string(),
                ]);
            }
        }
        let _ = write!(text, "\n{}\n", output::rows(&table));
        text
    }
}

fn share(room: Room) -> String {
    let Room { used, max } = room;
    let percent = 100.0 * used as f64 / max.max(1) as f64;
    format!("{used} of {max} ({percent:.1} %)")
}

fn port_use(ports: &Ports) -> String {
    let Ports {
        external,
        protocol,
        used,
        resting,
        max,
    } = ports;
    let taken = Room {
        used: used + resting,
        max: *max,
    };
    format!(
        "{external} {protocol}: {}, {resting} of them resting",
        share(taken)
    )
}

fn action_name(action: Action) -> &'static str {
    match action {
        Action::Pass => "passed",
        Action::Forward => "forwarded",
        Action::Drop | Action::Refuse => "dropped",
        Action::Again => "again",
        Action::Split => "split",
    }
}
