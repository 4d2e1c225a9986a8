//! What the words of a filter may be, and what is said of what they may not.

use std::{net::Ipv4Addr, str::FromStr, time::Duration};

use ipnet::Ipv4Net;

use super::super::names::{PROTOCOLS, STATES};

/// Bits a second.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Rate(f64);

/// Units of a rate, in bits.
const UNITS: [(&str, f64); 8] = [
    ("bit", 1.0),
    ("kbit", 1e3),
    ("Mbit", 1e6),
    ("Gbit", 1e9),
    ("B", 8.0),
    ("kB", 8e3),
    ("MB", 8e6),
    ("GB", 8e9),
];

impl Rate {
    pub(super) fn bits_per_second(self) -> f64 {
        self.0
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = &text[digits.len()..];
        let bits = UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit) && is_byte(name) == is_byte(unit));
        match (digits.parse::<f64>(), bits) {
            (Ok(number), Some((_, bits))) if number >= 0.0 => Ok(Self(number * bits)),
            _ => Err(format!(
                "not a rate: a number and bits or bytes a second, {}; as 10Mbit or 500kB",
                UNITS.map(|(name, _)| name).join(" ")
            )),
        }
    }
}

/// A capital B is a byte; all else may be written either way.
fn is_byte(unit: &str) -> bool {
    unit.ends_with('B')
}

/// An address, or a prefix without bits behind it.
///
/// # Errors
///
/// Says what is accepted.
pub fn network(text: &str) -> Result<Ipv4Net, String> {
    if let Ok(addr) = text.parse::<Ipv4Addr>() {
        return Ok(addr.into());
    }
    let net: Ipv4Net = text
        .parse()
        .map_err(|_| "not an IPv4 address or prefix, as 172.16.4.9 or 172.16.4.0/24".to_owned())?;
    if net.addr() != net.network() {
        return Err(format!(
            "the address has bits behind the prefix; {} is the network, {} the host",
            net.trunc(),
            net.addr()
        ));
    }
    Ok(net)
}

pub(super) fn port(text: &str) -> Result<u16, String> {
    text.parse()
        .map_err(|_| "not a port: a number from 0 to 65535".to_owned())
}

/// The name that a protocol's flows are listed with, given that or the number.
///
/// # Errors
///
/// Says which names there are.
pub fn protocol(text: &str) -> Result<String, String> {
    let named = PROTOCOLS.iter().filter(|(_, name)| *name != "other");
    let number = text.parse::<u8>().ok();
    let known = named
        .clone()
        .find(|(protocol, name)| *name == text || Some(*protocol as u8) == number);
    match (known, number) {
        (Some((_, name)), _) => Ok((*name).to_owned()),
        (None, Some(number)) => Ok(number.to_string()),
        (None, None) => Err(format!(
            "no such protocol; there are {}, or a number from 0 to 255",
            joined(named.map(|(_, name)| *name))
        )),
    }
}

pub(super) fn state(text: &str) -> Result<String, String> {
    let mut names = STATES.iter().map(|(_, name)| *name);
    match names.clone().find(|name| *name == text) {
        Some(name) => Ok(name.to_owned()),
        None => Err(format!("no such state; there are {}", joined(&mut names))),
    }
}

/// A time, of any length.
///
/// # Errors
///
/// Says what is accepted.
pub fn time(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("not a time, as 30s or 2h 4m: {error}"))
}

fn joined(names: impl Iterator<Item = &'static str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
