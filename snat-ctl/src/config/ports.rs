//! `ports`: which external ports an SNAT entry hands out.

use std::ops::RangeInclusive;

use toml::de::DeValue;

use super::{Ports, section::not_a};

const ACCEPTED: &str =
    "\"auto\", a range \"1024-65535\", or several \"1024-2047,4096-8191\", of ports 1 to 65535";

/// `auto`, a comma list, or a TOML list of ranges and single ports.
pub(super) fn ports(value: &DeValue<'_>) -> Result<Ports, String> {
    let ranges = match value {
        DeValue::String(text) if text.trim() == "auto" => return Ok(Ports::Auto),
        DeValue::String(text) => ranges(text)?,
        DeValue::Array(items) => {
            let mut ranges = Vec::new();
            for item in items {
                ranges.extend(element(item.get_ref())?);
            }
            ranges
        }
        other => element(other)?,
    };
    if ranges.is_empty() {
        return Err(format!("no ports; accepted: {ACCEPTED}"));
    }
    disjoint(ranges).map(Ports::Ranges)
}

/// One port or one range of them.
pub(super) fn one_range(
    value: &DeValue<'_>,
    accepted: &str,
) -> Result<RangeInclusive<u16>, String> {
    match value {
        DeValue::String(text) => range(text.trim(), accepted),
        DeValue::Integer(number) => {
            let port = port(&number.to_string(), accepted)?;
            Ok(port..=port)
        }
        other => Err(not_a(other, accepted)),
    }
}

fn element(value: &DeValue<'_>) -> Result<Vec<RangeInclusive<u16>>, String> {
    match value {
        DeValue::String(text) => ranges(text),
        other => one_range(other, ACCEPTED).map(|range| vec![range]),
    }
}

fn ranges(text: &str) -> Result<Vec<RangeInclusive<u16>>, String> {
    if text.trim().is_empty() {
        return Err(format!("no ports; accepted: {ACCEPTED}"));
    }
    text.split(',')
        .map(|part| range(part.trim(), ACCEPTED))
        .collect()
}

fn range(text: &str, accepted: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first.trim(), accepted)?, port(last.trim(), accepted)?);
    if first > last {
        return Err(format!(
            "range {text:?} is upside down; accepted: \"{last}-{first}\""
        ));
    }
    Ok(first..=last)
}

fn port(text: &str, accepted: &str) -> Result<u16, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if digits && port > 0 => Ok(port),
        _ => Err(format!("{text:?} is not a port; accepted: {accepted}")),
    }
}

fn disjoint(mut ranges: Vec<RangeInclusive<u16>>) -> Result<Vec<RangeInclusive<u16>>, String> {
    ranges.sort_by_key(|range| *range.start());
    for pair in ranges.windows(2) {
        if let [left, right] = pair
            && left.end() >= right.start()
        {
            let show = |range: &RangeInclusive<u16>| format!("{}-{}", range.start(), range.end());
            let (left, right) = (show(left), show(right));
            return Err(format!(
                "{left} and {right} overlap; accepted: ranges without overlap"
            ));
        }
    }
    Ok(ranges)
}
