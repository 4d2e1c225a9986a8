//! `snat-ctl eni status`: one screen.

use std::{fmt::Write as _, process::ExitCode, time::Duration};

use serde::Serialize;

use super::plan::notes;
use crate::{
    cli::{Global, eni::EniArgs},
    config::mac_text,
    eni::{
        Applied, Object, Store,
        conflicts::{count, foreign_users},
        control::Prepared,
        keep,
        resolve::Interface,
    },
    instance, output,
};

pub(super) fn execute(_global: &Global, args: &EniArgs) -> anyhow::Result<ExitCode> {
    let store = Store::open()?;
    let Some(applied) = store.applied()? else {
        return if args.json {
            output::print_json(&Nothing { applied: false })
        } else {
            output::print(
                "nothing is applied; `snat-ctl eni plan` shows what the configuration would do\n",
            )
        }
        .map(|()| ExitCode::SUCCESS);
    };
    let prepared = Prepared::new(applied.clone().into(), &store, &[])?;
    let status = Status::of(&applied, &prepared, &store)?;
    if args.json {
        output::print_json(&status)?;
    } else {
        output::print(&status.screen())?;
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize)]
struct Nothing {
    applied: bool,
}

/// The JSON form, whose names are part of the contract.
#[derive(Serialize)]
struct Status {
    applied: bool,
    instance: String,
    config: String,
    /// Process that keeps it so.
    daemon: Option<i32>,
    /// Seconds until a change that is not confirmed is taken back.
    taken_back_in: Option<u64>,
    interfaces: Vec<Eni>,
    absent: Vec<String>,
    rules: usize,
    routes: usize,
    /// How many steps `apply` would take.
    differences: usize,
    notes: Vec<String>,
    /// What the daemon has repaired, the last first.
    repairs: Vec<String>,
}

#[derive(Serialize)]
struct Eni {
    name: String,
    mac: Option<String>,
    state: &'static str,
    table: u32,
    addresses: Vec<String>,
    gateways: Vec<String>,
    rules: usize,
    routes: usize,
    weight: Option<u32>,
    /// Connections that were balanced to it.
    connections: Option<u64>,
}

impl Status {
    fn of(applied: &Applied, prepared: &Prepared, store: &Store) -> anyhow::Result<Self> {
        let mut notes = notes(prepared);
        for interface in &prepared.found.interfaces {
            let users: Vec<_> = foreign_users(&prepared.host, interface.table).collect();
            if !users.is_empty() {
                notes.push(format!(
                    "{} of others lead to the table of {} too",
                    count(users.len(), "rule"),
                    interface.name
                ));
            }
        }
        Ok(Self {
            applied: true,
            instance: applied.instance.clone(),
            config: applied.config.display().to_string(),
            daemon: instance::daemon(&applied.instance),
            taken_back_in: store.pending()?.map(|pending| pending.seconds_left()),
            interfaces: interfaces(prepared, store)?,
            absent: prepared.found.absent.clone(),
            rules: prepared.host.our_rules().count(),
            routes: prepared.host.our_routes().count(),
            differences: prepared.plan.changes.len(),
            notes,
            repairs: keep::repairs(store)?,
        })
    }

    fn screen(&self) -> String {
        let mut text = String::new();
        let mut line = |title: &str, body: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{title:10}{body}");
        };
        line("instance", self.instance.clone());
        line("config", self.config.clone());
        line(
            "kept by",
            self.daemon.map_or_else(
                || "nobody: `snat-ctl run` repairs what others undo".to_owned(),
                |pid| format!("process {pid}"),
            ),
        );
        line(
            "kernel",
            format!(
                "{}, {}{}",
                count(self.rules, "rule"),
                count(self.routes, "route"),
                match self.differences {
                    0 => ", all as intended".to_owned(),
                    steps => format!(
                        "; {} to do, see `snat-ctl eni plan`",
                        count(steps, "change")
                    ),
                }
            ),
        );
        if let Some(seconds) = self.taken_back_in {
            line("pending", pending(seconds));
        }
        for matcher in &self.absent {
            line("absent", matcher.clone());
        }
        for note in &self.notes {
            line("note", note.clone());
        }
        for repair in self.repairs.iter().take(5) {
            line("repaired", repair.clone());
        }
        let titles = [
            "ENI",
            "STATE",
            "ADDRESSES",
            "GATEWAY",
            "TABLE",
            "RULES",
            "ROUTES",
            "WEIGHT",
            "CONNECTIONS",
        ];
        let mut table = output::table(&titles, 4);
        for eni in &self.interfaces {
            let or_none = |number: Option<u64>| number.map_or("-".to_owned(), |n| n.to_string());
            table.add_row([
                eni.name.clone(),
                eni.state.to_owned(),
                list(&eni.addresses),
                list(&eni.gateways),
                eni.table.to_string(),
                eni.rules.to_string(),
                eni.routes.to_string(),
                or_none(eni.weight.map(u64::from)),
                or_none(eni.connections),
            ]);
        }
        let _ = write!(text, "\n{}\n", output::rows(&table));
        text
    }
}

fn pending(seconds: u64) -> String {
    if seconds == 0 {
        return "not confirmed in time and to be taken back; the next `snat-ctl eni apply` does it at the latest, `snat-ctl eni revert` now".to_owned();
    }
    let left = humantime::format_duration(Duration::from_secs(seconds));
    format!("taken back in {left} unless `snat-ctl eni confirm` is called")
}

fn interfaces(prepared: &Prepared, store: &Store) -> anyhow::Result<Vec<Eni>> {
    let chosen = crate::eni::balance::chosen(&store.pins())?.unwrap_or_default();
    let mut shares = crate::eni::slots(&prepared.intent.routing, &prepared.found).into_iter();
    let mut enis = Vec::new();
    for interface in &prepared.found.interfaces {
        let share = interface.eni.weight.and_then(|_| shares.next());
        let connections = share.and_then(|slot| {
            let same = chosen.iter().find(|(other, _)| other.mark == slot.mark);
            same.map(|(_, count)| *count)
        });
        enis.push(eni(interface, prepared, connections));
    }
    Ok(enis)
}

fn eni(interface: &Interface, prepared: &Prepared, connections: Option<u64>) -> Eni {
    let missing = |object: &Object| {
        prepared
            .plan
            .changes
            .iter()
            .any(|change| change.object == *object)
    };
    let desired = &prepared.desired;
    let leads = crate::eni::Action::Lookup(interface.table);
    let rules = desired.rules.iter().map(|(rule, _)| rule);
    let routes = desired.routes.iter().map(|(route, _)| route);
    Eni {
        name: interface.name.clone(),
        mac: interface.mac.map(mac_text),
        state: match (interface.up, interface.running) {
            (_, true) => "up",
            (true, false) => "no carrier",
            (false, false) => "down",
        },
        table: interface.table,
        addresses: interface
            .addresses
            .iter()
            .map(ToString::to_string)
            .collect(),
        gateways: interface
            .gateways
            .iter()
            .map(|gateway| gateway.addr.to_string())
            .collect(),
        rules: rules
            .filter(|rule| rule.action == leads && !missing(&Object::Rule((*rule).clone())))
            .count(),
        routes: routes
            .filter(|route| {
                route.table == interface.table && !missing(&Object::Route((*route).clone()))
            })
            .count(),
        weight: interface.eni.weight,
        connections,
    }
}

fn list(words: &[String]) -> String {
    if words.is_empty() {
        "-".to_owned()
    } else {
        words.join(" ")
    }
}
