//! What the file may say already and nothing is built for yet: checked in full, then refused.

use std::net::{Ipv4Addr, SocketAddr};

use toml::de::DeValue;

use super::{
    report::Report,
    section::{Section, not_a},
    values,
};

const LISTEN: &str = "an address and port such as \"127.0.0.1:9469\"";
const GATEWAY: &str = "\"auto\" or an IPv4 address";
const MAC: &str = "a link-layer address such as \"02:00:00:00:00:01\"";
const TABLE: &str = "1 to 4294967295 without 253 to 255, which are the kernel's";

pub(super) fn refuse(root: &Section<'_>, report: &mut Report<'_>) {
    refuse_unless_wrong(root, "metrics", metrics, report);
    refuse_unless_wrong(root, "eni", eni, report);
}

/// Runs `check`, which says whether there is anything to refuse.
fn refuse_unless_wrong(
    root: &Section<'_>,
    name: &str,
    check: fn(&Section<'_>, &mut Report<'_>) -> Option<usize>,
    report: &mut Report<'_>,
) {
    let before = report.count();
    if let Some(line) = check(root, report)
        && report.count() == before
    {
        let what = format!("not supported yet: {name}; accepted: a file without this section");
        report.wrong(line, name, what);
    }
}

fn metrics(root: &Section<'_>, report: &mut Report<'_>) -> Option<usize> {
    let section = root
        .get("metrics", report)?
        .section(&["listen"], "section [metrics]", report)?;
    section.optional(
        "listen",
        |value| values::endpoint::<SocketAddr>(value, LISTEN),
        report,
    );
    Some(section.line)
}

fn eni(root: &Section<'_>, report: &mut Report<'_>) -> Option<usize> {
    let known = ["match", "table", "gateway", "default_metric"];
    let sections = root.tables("eni", &known, report);
    for section in &sections {
        eni_match(section, report);
        section.optional("table", table, report);
        section.optional("gateway", eni_gateway, report);
        section.optional(
            "default_metric",
            |value| values::number(value, 0..=u32::MAX),
            report,
        );
    }
    sections.first().map(|section| section.line)
}

fn eni_match(section: &Section<'_>, report: &mut Report<'_>) {
    let accepted = "{ name = \"eth1\" } or { mac = \"02:00:00:00:00:01\" }";
    let Some(matcher) = section
        .require("match", accepted, report)
        .and_then(|field| field.section(&["name", "mac"], accepted, report))
    else {
        return;
    };
    let before = report.count();
    let name = matcher.get("name", report);
    let mac = matcher.get("mac", report);
    if name.is_some() == mac.is_some() && report.count() == before {
        let what = format!("needs either name or mac; accepted: {accepted}");
        report.wrong(matcher.line, &section.key_of("match"), what);
    }
    name.map(|field| field.parse(values::interface, report));
    mac.map(|field| field.parse(mac_address, report));
}

fn table(value: &DeValue<'_>) -> Result<u32, String> {
    let Some(integer) = value.as_integer() else {
        return Err(not_a(value, TABLE));
    };
    match values::number(value, 1..=u32::MAX) {
        Ok(table) if !(253..=255).contains(&table) => Ok(table),
        Ok(table) => Err(format!("{table} is the kernel's own; accepted: {TABLE}")),
        Err(_) => Err(format!("{integer} is out of range; accepted: {TABLE}")),
    }
}

fn eni_gateway(value: &DeValue<'_>) -> Result<Option<Ipv4Addr>, String> {
    match values::text(value, GATEWAY)? {
        "auto" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| format!("{text:?} is not an address; accepted: {GATEWAY}")),
    }
}

fn mac_address(value: &DeValue<'_>) -> Result<(), String> {
    let text = values::text(value, MAC)?;
    let bytes: Vec<_> = text.split(':').collect();
    let byte = |part: &&str| part.len() == 2 && u8::from_str_radix(part, 16).is_ok();
    if bytes.len() == 6 && bytes.iter().all(byte) {
        Ok(())
    } else {
        Err(format!(
            "{text:?} is not a link-layer address; accepted: {MAC}"
        ))
    }
}
