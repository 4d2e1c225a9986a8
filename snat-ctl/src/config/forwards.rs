//! `[[forward]]`: each by itself, and all of them together.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddrV4},
};

use snat_common::{Protocol, settings::MAX_POOL};
use toml::de::DeValue;

use super::{
    External, Forward,
    report::Report,
    section::Section,
    sections::Entry,
    values::{self, not_unicast},
};

const ENDPOINT: &str = "an IPv4 address and port such as \"203.0.113.10:8443\"";
const PROTOCOLS: [(&str, Protocol); 2] = [("tcp", Protocol::Tcp), ("udp", Protocol::Udp)];
/// Few beside the mappings of clients, with which they share a map.
const MAX_FORWARDS: usize = 4096;

pub(super) fn forwards(
    root: &Section<'_>,
    entries: &[Entry],
    report: &mut Report<'_>,
) -> Vec<Forward> {
    let sections = root.tables("forward", &["protocol", "external", "internal"], report);
    let forwards: Vec<_> = sections
        .iter()
        .filter_map(|section| Some((forward(section, report)?, section)))
        .collect();
    let externals = externals(entries, &forwards);
    let mut seen = HashMap::new();
    for (forward, section) in &forwards {
        let line = section.line_of("external", report);
        if let Some(first) = seen.insert((forward.protocol, forward.external), line) {
            let what = format!(
                "{} is forwarded in line {first} already, for the same protocol; accepted: each once",
                forward.external
            );
            section.refuse("external", what, report);
        }
        let internal = forward.internal.ip();
        if let Some(line) = externals.get(internal) {
            let what =
                format!("{internal} is an external address in line {line}; accepted: a client's");
            section.refuse("internal", what, report);
        }
    }
    let line = sections.last().map_or(root.line, |section| section.line);
    for (count, most, of) in [
        (forwards.len(), MAX_FORWARDS, "entries"),
        (
            externals.len(),
            MAX_POOL as usize,
            "external addresses, with those of snat",
        ),
    ] {
        if !forwards.is_empty() && count > most {
            report.wrong(
                line,
                "forward",
                format!("{count} {of}; accepted: at most {most}"),
            );
        }
    }
    forwards.into_iter().map(|(forward, _)| forward).collect()
}

fn forward(section: &Section<'_>, report: &mut Report<'_>) -> Option<Forward> {
    let protocol = section
        .require("protocol", "tcp, udp", report)
        .and_then(|field| field.parse(|value| values::choice(value, &PROTOCOLS), report));
    let mut end = |name| {
        section
            .require(name, ENDPOINT, report)
            .and_then(|field| field.parse(endpoint, report))
    };
    let (external, internal) = (end("external"), end("internal"));
    Some(Forward {
        protocol: protocol?,
        external: external?,
        internal: internal?,
        line: section.line,
    })
}

fn endpoint(value: &DeValue<'_>) -> Result<SocketAddrV4, String> {
    let endpoint: SocketAddrV4 = values::endpoint(value, ENDPOINT)?;
    if endpoint.port() == 0 {
        return Err(format!("port 0 is no port; accepted: {ENDPOINT}"));
    }
    match not_unicast(*endpoint.ip()) {
        Some(kind) => Err(format!("{} is {kind}; accepted: {ENDPOINT}", endpoint.ip())),
        None => Ok(endpoint),
    }
}

/// Every external address that the file names, and a line that does.
fn externals(entries: &[Entry], forwards: &[(Forward, &Section<'_>)]) -> HashMap<Ipv4Addr, usize> {
    let forwards = forwards
        .iter()
        .map(|(forward, _)| (*forward.external.ip(), forward.line));
    let items = entries.iter().flat_map(|entry| &entry.external);
    let listed = items.flat_map(|item| {
        item.value.iter().filter_map(|external| match external {
            External::Auto => None,
            External::Addr(addr) => Some((*addr, item.line)),
        })
    });
    forwards.chain(listed).collect()
}
