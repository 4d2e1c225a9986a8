//! The sections that are at work: `[gateway]`, `[[snat]]`, `[[bypass]]`.

use ipnet::Ipv4Net;
use toml::de::DeValue;

use super::{
    Bypass, Datapath, External, Filtering, Gateway, Mapping, Ports, Snat,
    ports::ports,
    report::Report,
    section::{Item, Section},
    values,
};

const DEFAULT_MAX_FLOWS: u32 = 1_048_576;
const LARGEST_MAX_FLOWS: u32 = 16_777_216;

/// A list's elements with their places, which the rules over all entries need for their complaints.
pub(super) type Placed<T> = Vec<Item<T>>;

/// An SNAT entry, and where its prefixes and addresses stand.
pub(super) struct Entry {
    pub(super) snat: Snat,
    pub(super) key: String,
    pub(super) source: Placed<Ipv4Net>,
    pub(super) external: Placed<Vec<External>>,
}

pub(super) fn gateway(root: &Section<'_>, report: &mut Report<'_>) -> Option<Gateway> {
    let known = ["name", "interfaces", "datapath", "max_flows"];
    let accepted = "section [gateway] with interfaces = [\"eth0\"]";
    let section = root
        .require("gateway", accepted, report)?
        .section(&known, accepted, report)?;
    let name = section.optional("name", values::name, report);
    let interfaces_field = section.require("interfaces", values::INTERFACE, report);
    let interfaces_line = interfaces_field
        .as_ref()
        .map_or(section.line, |field| field.line);
    let interfaces = interfaces_field
        .map(|field| field.list(values::INTERFACE, values::interface, report))
        .unwrap_or_default();
    let datapath = section.optional(
        "datapath",
        |value| {
            let choices = [
                ("auto", Datapath::Auto),
                ("xdp", Datapath::Xdp),
                ("xdp-generic", Datapath::XdpGeneric),
                ("tc", Datapath::Tc),
            ];
            values::choice(value, &choices)
        },
        report,
    );
    let max_flows = section.optional(
        "max_flows",
        |value| values::number(value, 1..=LARGEST_MAX_FLOWS),
        report,
    );
    Some(Gateway {
        name: name.unwrap_or_else(|| "default".to_owned()),
        interfaces: distinct(interfaces, report),
        interfaces_line,
        datapath: datapath.unwrap_or(Datapath::Auto),
        max_flows: max_flows.unwrap_or(DEFAULT_MAX_FLOWS),
    })
}

pub(super) fn snat(root: &Section<'_>, report: &mut Report<'_>) -> Vec<Entry> {
    let known = [
        "name",
        "source",
        "external",
        "ports",
        "mapping",
        "filtering",
    ];
    let before = report.count();
    let sections = root.tables("snat", &known, report);
    if sections.is_empty() && report.count() == before {
        let accepted = "at least one section [[snat]] with source = [\"172.16.0.0/16\"]";
        report.wrong(root.line, "snat", format!("missing; accepted: {accepted}"));
    }
    let entries = sections.iter().enumerate();
    entries
        .map(|(index, section)| entry(index, section, report))
        .collect()
}

pub(super) fn bypass(root: &Section<'_>, report: &mut Report<'_>) -> Vec<Bypass> {
    let mut all = Vec::new();
    for section in root.tables("bypass", &["destination"], report) {
        let destination = section
            .require("destination", values::PREFIX, report)
            .map(|field| field.list(values::PREFIX, values::prefix, report))
            .unwrap_or_default();
        for prefix in destination
            .iter()
            .filter(|prefix| prefix.value.prefix_len() == 0)
        {
            report.warn(
                prefix.line,
                &prefix.key,
                "everything is bypassed: nothing is translated",
            );
        }
        all.push(Bypass {
            destination: distinct(destination, report),
            line: section.line,
        });
    }
    all
}

fn entry(index: usize, section: &Section<'_>, report: &mut Report<'_>) -> Entry {
    let name = section.optional("name", values::name, report);
    let source = section
        .require("source", values::PREFIX, report)
        .map(|field| field.list(values::PREFIX, values::prefix, report))
        .unwrap_or_default();
    let external = section
        .get("external", report)
        .map(|field| field.list(values::EXTERNAL, values::external, report));
    let ports = section.optional("ports", ports, report);
    let mapping = later_choice(
        section,
        "mapping",
        &[
            ("auto", Some(Mapping::Auto)),
            (
                "address-and-port-dependent",
                Some(Mapping::AddressAndPortDependent),
            ),
            ("endpoint-independent", None),
        ],
        report,
    );
    let filtering = later_choice(
        section,
        "filtering",
        &[
            (
                "address-and-port-dependent",
                Some(Filtering::AddressAndPortDependent),
            ),
            ("address-dependent", None),
            ("endpoint-independent", None),
        ],
        report,
    );
    let auto = || Item {
        value: vec![External::Auto],
        key: section.key_of("external"),
        line: section.line,
    };
    let external = external.unwrap_or_else(|| vec![auto()]);
    Entry {
        snat: Snat {
            name: name.unwrap_or_else(|| format!("snat-{}", index + 1)),
            source: source.iter().map(|prefix| prefix.value).collect(),
            external: external
                .iter()
                .flat_map(|item| item.value.clone())
                .collect(),
            ports: ports.unwrap_or(Ports::Auto),
            mapping: mapping.unwrap_or(Mapping::Auto),
            filtering: filtering.unwrap_or(Filtering::AddressAndPortDependent),
            line: section.line,
        },
        key: section.key.clone(),
        source,
        external,
    }
}

/// A word that is known, but for which nothing is built yet if it stands for `None`.
fn later_choice<T: Copy>(
    section: &Section<'_>,
    name: &str,
    choices: &[(&str, Option<T>)],
    report: &mut Report<'_>,
) -> Option<T> {
    let check = |value: &DeValue<'_>| {
        values::choice(value, choices)?.ok_or_else(|| {
            let word = value.as_str().unwrap_or_default();
            let now: Vec<_> = choices
                .iter()
                .filter_map(|(word, value)| value.map(|_| *word))
                .collect();
            format!(
                "not supported yet: snat.{name} = {word:?}; accepted: {}",
                now.join(", ")
            )
        })
    };
    section.optional(name, check, report)
}

/// The values, of which none may be there twice.
fn distinct<T: PartialEq + std::fmt::Display>(items: Placed<T>, report: &mut Report<'_>) -> Vec<T> {
    let mut values: Vec<T> = Vec::new();
    for Item { value, key, line } in items {
        if values.contains(&value) {
            report.wrong(
                line,
                &key,
                format!("{value} is listed twice; accepted: each once"),
            );
        } else {
            values.push(value);
        }
    }
    values
}
