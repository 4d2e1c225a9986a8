//! Rules over several entries: what each may hold on its own and still be wrong together.

use std::{collections::HashMap, net::Ipv4Addr};

use ipnet::Ipv4Net;
use snat_common::settings::{MAX_ENTRIES, MAX_INTERFACES, MAX_POOL, MAX_PORT_SETS, MAX_PREFIXES};

use super::{Bypass, External, Gateway, report::Report, sections::Entry};

pub(super) fn gateway(gateway: &Gateway, report: &mut Report<'_>) {
    let key = "gateway.interfaces";
    most(
        gateway.interfaces.len(),
        MAX_INTERFACES,
        "interfaces",
        gateway.interfaces_line,
        key,
        report,
    );
}

pub(super) fn snat(entries: &[Entry], report: &mut Report<'_>) {
    names(entries, report);
    sources(entries, report);
    let externals = externals(entries, report);
    clients_are_not_external(entries, &externals, report);
    limits(entries, report);
}

pub(super) fn bypass(bypass: &[Bypass], report: &mut Report<'_>) {
    let prefixes = bypass.iter().map(|entry| entry.destination.len()).sum();
    let line = bypass.last().map_or(1, |entry| entry.line);
    most(
        prefixes,
        MAX_PREFIXES,
        "prefixes over all entries",
        line,
        "bypass",
        report,
    );
}

fn names(entries: &[Entry], report: &mut Report<'_>) {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for Entry { snat, key, .. } in entries {
        if let Some(first) = seen.insert(&snat.name, snat.line) {
            let name = &snat.name;
            let what = format!(
                "{name:?} is the name of the entry in line {first} too; accepted: a name of its own"
            );
            report.wrong(snat.line, &format!("{key}.name"), what);
        }
    }
}

/// Of nested prefixes the longest wins; of equal ones neither could.
fn sources(entries: &[Entry], report: &mut Report<'_>) {
    let mut seen: HashMap<Ipv4Net, (usize, usize)> = HashMap::new();
    for (index, entry) in entries.iter().enumerate() {
        for item in &entry.source {
            let prefix = item.value;
            if let Some((first_entry, line)) = seen.get(&prefix) {
                let what = if *first_entry == index {
                    format!("{prefix} is listed twice; accepted: each once")
                } else {
                    format!(
                        "{prefix} overlaps line {line}: the same prefix in two entries; accepted: \
                         each prefix once (a longer one inside it may be another entry's)"
                    )
                };
                report.wrong(item.line, &item.key, what);
            } else {
                seen.insert(prefix, (index, item.line));
            }
            if prefix.prefix_len() == 0 {
                report.warn(
                    item.line,
                    &item.key,
                    "every source but the host's own is translated",
                );
            }
        }
    }
}

fn externals(entries: &[Entry], report: &mut Report<'_>) -> HashMap<Ipv4Addr, usize> {
    let mut all = HashMap::new();
    for entry in entries {
        let mut own = HashMap::new();
        for item in &entry.external {
            for external in &item.value {
                match external {
                    External::Auto if entry.external.len() > 1 => {
                        let what = "\"auto\" beside others; accepted: \"auto\" alone, or addresses";
                        report.wrong(item.line, &item.key, what);
                    }
                    External::Auto => {}
                    External::Addr(addr) => {
                        if own.insert(*addr, ()).is_some() {
                            let what = format!("{addr} is listed twice; accepted: each once");
                            report.wrong(item.line, &item.key, what);
                        }
                        all.entry(*addr).or_insert(item.line);
                    }
                }
            }
        }
    }
    all
}

fn clients_are_not_external(
    entries: &[Entry],
    externals: &HashMap<Ipv4Addr, usize>,
    report: &mut Report<'_>,
) {
    for item in entries.iter().flat_map(|entry| &entry.source) {
        let addr = item.value.addr();
        if item.value.prefix_len() == 32
            && let Some(line) = externals.get(&addr)
        {
            let what = format!("{addr} is an external address in line {line}; accepted: clients");
            report.wrong(item.line, &item.key, what);
        }
    }
}

fn limits(entries: &[Entry], report: &mut Report<'_>) {
    let line = entries.last().map_or(1, |entry| entry.snat.line);
    most(entries.len(), MAX_ENTRIES, "entries", line, "snat", report);
    let prefixes = entries.iter().map(|entry| entry.source.len()).sum();
    most(
        prefixes,
        MAX_PREFIXES,
        "source prefixes over all entries",
        line,
        "snat",
        report,
    );
    let pool = entries.iter().map(|entry| entry.snat.external.len()).sum();
    most(
        pool,
        MAX_POOL,
        "external addresses over all entries",
        line,
        "snat",
        report,
    );
    let mut sets: Vec<_> = Vec::new();
    for entry in entries {
        if !sets.contains(&&entry.snat.ports) {
            sets.push(&entry.snat.ports);
        }
    }
    most(
        sets.len(),
        MAX_PORT_SETS,
        "different settings of ports",
        line,
        "snat",
        report,
    );
}

fn most(count: usize, limit: u32, of: &str, line: usize, key: &str, report: &mut Report<'_>) {
    if count > limit as usize {
        report.wrong(
            line,
            key,
            format!("{count} {of}; accepted: at most {limit}"),
        );
    }
}
