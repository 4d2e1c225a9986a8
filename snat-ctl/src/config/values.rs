//! Checks of single values: each says what is wrong and what is accepted instead.

use std::{
    net::{IpAddr, Ipv4Addr},
    ops::RangeInclusive,
    str::FromStr,
    time::Duration,
};

use ipnet::{IpNet, Ipv4Net};
use snat_common::settings::MAX_POOL;
use toml::de::DeValue;

use super::{External, section::not_a};

pub(super) const NAME: &str =
    "1 to 31 characters of a-z, 0-9, _ and -, the first a letter or digit";
pub(super) const INTERFACE: &str = "interface names such as \"eth0\", 1 to 15 characters";
pub(super) const PREFIX: &str = "IPv4 prefixes such as \"172.16.0.0/16\"";
pub(super) const NET: &str = "prefixes such as \"10.8.0.0/16\" and \"2001:db8::/32\"";
pub(super) const EXTERNAL: &str = "\"auto\", unicast IPv4 addresses such as \"203.0.113.10\" and ranges \"203.0.113.10-203.0.113.13\"";
pub(super) const DURATION: &str = "a time from 100ms to 7days such as \"2h 4m\"";

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// `IFNAMSIZ` less the terminating zero.
const INTERFACE_LEN: usize = 15;
const NAME_LEN: usize = 31;

/// A string, or the complaint that it is none.
pub(super) fn text<'a>(value: &'a DeValue<'_>, accepted: &str) -> Result<&'a str, String> {
    value.as_str().ok_or_else(|| not_a(value, accepted))
}

/// A number within `range`.
pub(super) fn number(value: &DeValue<'_>, range: RangeInclusive<u32>) -> Result<u32, String> {
    let accepted = format!("{} to {}", range.start(), range.end());
    let Some(integer) = value.as_integer() else {
        return Err(not_a(value, &accepted));
    };
    u32::from_str_radix(integer.as_str(), integer.radix())
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| format!("{integer} is out of range; accepted: {accepted}"))
}

/// One of a few words.
pub(super) fn choice<T: Copy>(value: &DeValue<'_>, choices: &[(&str, T)]) -> Result<T, String> {
    let accepted = choices
        .iter()
        .map(|(word, _)| *word)
        .collect::<Vec<_>>()
        .join(", ");
    let word = text(value, &accepted)?;
    let found = choices.iter().find(|(choice, _)| *choice == word);
    found
        .map(|(_, value)| *value)
        .ok_or_else(|| format!("unknown {word:?}; accepted: {accepted}"))
}

/// The name of an instance or entry: part of a path below `/sys/fs/bpf`.
pub(super) fn name(value: &DeValue<'_>) -> Result<String, String> {
    let text = text(value, NAME)?;
    check_name(text).map(|()| text.to_owned())
}

/// Whether `name` may be an instance's name.
///
/// # Errors
///
/// What is wrong and what is accepted.
pub fn check_name(name: &str) -> Result<(), String> {
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let fits = (1..=NAME_LEN).contains(&name.len())
        && name.as_bytes().first().is_some_and(plain)
        && name
            .bytes()
            .all(|byte| plain(&byte) || byte == b'_' || byte == b'-');
    if fits {
        Ok(())
    } else {
        Err(format!("{name:?} is not a name; accepted: {NAME}"))
    }
}

/// A name that the kernel takes for an interface (`dev_valid_name`).
pub(super) fn interface(value: &DeValue<'_>) -> Result<String, String> {
    let name = text(value, INTERFACE)?;
    let fits = (1..=INTERFACE_LEN).contains(&name.len())
        && !matches!(name, "." | "..")
        && !name
            .chars()
            .any(|c| c == '/' || c == ':' || c.is_whitespace() || c == '\0');
    if fits {
        Ok(name.to_owned())
    } else {
        Err(format!(
            "{name:?} is not an interface name; accepted: {INTERFACE}"
        ))
    }
}

/// An IPv4 prefix with its host bits zero.
pub(super) fn prefix(value: &DeValue<'_>) -> Result<Ipv4Net, String> {
    prefix_of(value, "an IPv4 prefix", PREFIX)
}

/// An IPv4 or IPv6 prefix with its host bits zero.
pub(super) fn net(value: &DeValue<'_>) -> Result<IpNet, String> {
    prefix_of(value, "a prefix", NET)
}

fn prefix_of<T>(value: &DeValue<'_>, kind: &str, accepted: &str) -> Result<T, String>
where
    T: FromStr + Copy + Into<IpNet>,
{
    let text = text(value, accepted)?;
    let Ok(prefix) = text.parse::<T>() else {
        let single = text
            .parse::<IpAddr>()
            .map(|addr| IpNet::from(addr).to_string());
        let hint = match single {
            Ok(net) if net.parse::<T>().is_ok() => format!("; for this one address write {net:?}"),
            _ => String::new(),
        };
        return Err(format!(
            "{text:?} is not {kind}{hint}; accepted: {accepted}"
        ));
    };
    let net: IpNet = prefix.into();
    if net.trunc() != net {
        let right = net.trunc();
        return Err(format!(
            "{text:?} has host bits set; accepted: \"{right}\" for that prefix"
        ));
    }
    Ok(prefix)
}

/// `auto`, an address, or a range, which comes out as all its addresses.
pub(super) fn external(value: &DeValue<'_>) -> Result<Vec<External>, String> {
    let text = text(value, EXTERNAL)?;
    if text == "auto" {
        return Ok(vec![External::Auto]);
    }
    let wrong = || format!("{text:?} is not an address or range; accepted: {EXTERNAL}");
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let first: Ipv4Addr = first.trim().parse().map_err(|_| wrong())?;
    let last: Ipv4Addr = last.trim().parse().map_err(|_| wrong())?;
    if first > last {
        return Err(format!(
            "{text:?} is upside down; accepted: \"{last}-{first}\""
        ));
    }
    let size = u64::from(u32::from(last)) - u64::from(u32::from(first)) + 1;
    if size > u64::from(MAX_POOL) {
        return Err(format!(
            "{text:?} is {size} addresses; accepted: at most {MAX_POOL}"
        ));
    }
    // The ends suffice: no block of addresses that are not unicast fits between them unseen, since
    // each is larger than MAX_POOL.
    for addr in [first, last] {
        if let Some(kind) = not_unicast(addr) {
            return Err(format!("{addr} is {kind}; accepted: {EXTERNAL}"));
        }
    }
    Ok((u32::from(first)..=u32::from(last))
        .map(|addr| External::Addr(addr.into()))
        .collect())
}

/// An address and port, as `accepted` says.
pub(super) fn endpoint<T: FromStr>(value: &DeValue<'_>, accepted: &str) -> Result<T, String> {
    let text = text(value, accepted)?;
    text.parse()
        .map_err(|_| format!("{text:?} is not an address and port; accepted: {accepted}"))
}

/// An idle time.
pub(super) fn duration(value: &DeValue<'_>) -> Result<Duration, String> {
    let text = text(value, DURATION)?;
    let time = humantime::parse_duration(text)
        .map_err(|error| format!("{text:?} is not a time ({error}); accepted: {DURATION}"))?;
    if (SHORTEST..=LONGEST).contains(&time) {
        Ok(time)
    } else {
        Err(format!("{text:?} is out of range; accepted: {DURATION}"))
    }
}

/// What kind of address it is, if not one that a host may have.
pub(super) fn not_unicast(addr: Ipv4Addr) -> Option<&'static str> {
    match addr.octets() {
        [0, ..] => Some("in 0.0.0.0/8, which is no host's"),
        [127, ..] => Some("a loopback address"),
        [224..=239, ..] => Some("a multicast address"),
        [255, 255, 255, 255] => Some("the broadcast address"),
        [240..=255, ..] => Some("in the reserved 240.0.0.0/4"),
        _ => None,
    }
}
