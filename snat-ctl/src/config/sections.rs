//! The sections that are at work: `[gateway]`, `[[snat]]`, `[[bypass]]`.

use std::ops::RangeInclusive;

use ipnet::Ipv4Net;
use toml::de::DeValue;

use super::{
    Bypass, Datapath, External, Filtering, Gateway, Mapping, MssClamp, Ports, Snat,
    ports::ports,
    report::Report,
    section::{Item, Section, not_a},
    values,
};

const DEFAULT_MAX_FLOWS: u32 = 1_048_576;
const LARGEST_MAX_FLOWS: u32 = 16_777_216;
const MAPPINGS: [(&str, Mapping); 3] = [
    ("auto", Mapping::Auto),
    (
        "address-and-port-dependent",
        Mapping::AddressAndPortDependent,
    ),
    ("endpoint-independent", Mapping::EndpointIndependent),
];
const FILTERINGS: [(&str, Filtering); 3] = [
    (
        "address-and-port-dependent",
        Filtering::AddressAndPortDependent,
    ),
    ("address-dependent", Filtering::AddressDependent),
    ("endpoint-independent", Filtering::EndpointIndependent),
];
/// RFC 9293 §3.7.1: what every host takes. And the largest that IPv4 has room for.
const MSS: RangeInclusive<u32> = 536..=65_495;

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
    let known = ["name", "interfaces", "datapath", "max_flows", "mss_clamp"];
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
    let mss_clamp = section.optional("mss_clamp", mss_clamp, report);
    Some(Gateway {
        name: name.unwrap_or_else(|| "default".to_owned()),
        interfaces: distinct(interfaces, report),
        interfaces_line,
        datapath: datapath.unwrap_or(Datapath::Auto),
        max_flows: max_flows.unwrap_or(DEFAULT_MAX_FLOWS),
        mss_clamp: mss_clamp.unwrap_or(MssClamp::Auto),
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
    let mapping = section.optional("mapping", |value| values::choice(value, &MAPPINGS), report);
    let filtering = section.get("filtering", report);
    let filtering_line = filtering.as_ref().map_or(section.line, |field| field.line);
    let filtering = filtering
        .and_then(|field| field.parse(|value| values::choice(value, &FILTERINGS), report))
        .unwrap_or(Filtering::AddressAndPortDependent);
    if mapping == Some(Mapping::AddressAndPortDependent)
        && filtering != Filtering::AddressAndPortDependent
    {
        report.warn(
            filtering_line,
            &section.key_of("filtering"),
            "has no effect with mapping = \"address-and-port-dependent\": a port that is no client \
             endpoint's own cannot be opened to others, so it stays address-and-port-dependent",
        );
    }
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
            filtering,
            line: section.line,
        },
        key: section.key.clone(),
        source,
        external,
    }
}

fn mss_clamp(value: &DeValue<'_>) -> Result<MssClamp, String> {
    let accepted = format!("\"auto\", \"off\" or {} to {}", MSS.start(), MSS.end());
    match value {
        DeValue::String(text) if text == "auto" => Ok(MssClamp::Auto),
        DeValue::String(text) if text == "off" => Ok(MssClamp::Off),
        DeValue::Integer(number) => values::number(value, MSS)
            .map(|mss| MssClamp::To(mss as u16))
            .map_err(|_| format!("{number} is out of range; accepted: {accepted}")),
        other => Err(not_a(other, &accepted)),
    }
}

/// The values, of which none may be there twice.
pub(super) fn distinct<T: PartialEq + std::fmt::Display>(
    items: Placed<T>,
    report: &mut Report<'_>,
) -> Vec<T> {
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
