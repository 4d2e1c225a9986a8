//! Checks of single values of the policy routes: each says what is wrong and what is accepted instead.

use std::{net::IpAddr, str::FromStr};

use toml::de::DeValue;

use super::{
    super::{
        section::not_a,
        values::{not_unicast, number, text},
    },
    NextHop,
};

pub(super) const MAC: &str = "a link-layer address such as \"02:00:00:00:00:01\"";
pub(super) const LOOKUP: &str =
    "the name or MAC that an [[eni]] is matched by, \"main\", or a table's number";
const TABLE: &str = "1 to 4294967295 without 253 to 255, which are the kernel's";
const MARK: &str = "a mark such as 0x101, or one with a mask such as \"0x101/0xfff\"";
const MARK_MASK: &str = "at least 4 bits, all beside each other, such as 0xff000000";
const PROTOCOL: &str =
    "tcp, udp, udp-lite, icmp, icmpv6, sctp, dccp, gre, esp, ah, or a number from 1 to 255";
const PROTOCOLS: [(&str, u8); 10] = [
    ("tcp", 6),
    ("udp", 17),
    ("udp-lite", 136),
    ("icmp", 1),
    ("icmpv6", 58),
    ("sctp", 132),
    ("dccp", 33),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
];

/// Number of a table that may be an interface's own.
pub(super) fn table(value: &DeValue<'_>) -> Result<u32, String> {
    match any_table(value, TABLE)? {
        table @ 253..=255 => Err(format!("{table} is the kernel's own; accepted: {TABLE}")),
        table => Ok(table),
    }
}

/// Number of any table.
pub(super) fn any_table(value: &DeValue<'_>, accepted: &str) -> Result<u32, String> {
    let integer = value.as_integer().ok_or_else(|| not_a(value, accepted))?;
    number(value, 1..=u32::MAX)
        .map_err(|_| format!("{integer} is out of range; accepted: {accepted}"))
}

/// `auto`, `none`, or a unicast address of the family that `A` is for.
pub(super) fn next_hop<A>(value: &DeValue<'_>, accepted: &str) -> Result<NextHop, String>
where
    A: FromStr + Into<IpAddr>,
{
    let text = match text(value, accepted)? {
        "auto" => return Ok(NextHop::Auto),
        "none" => return Ok(NextHop::None),
        text => text,
    };
    let addr: IpAddr = text
        .parse::<A>()
        .map_err(|_| format!("{text:?} is not an address; accepted: {accepted}"))?
        .into();
    let wrong = match addr {
        IpAddr::V4(addr) => not_unicast(addr),
        IpAddr::V6(addr) if addr.is_unspecified() => Some("no host's"),
        IpAddr::V6(addr) if addr.is_loopback() => Some("a loopback address"),
        IpAddr::V6(addr) if addr.is_multicast() => Some("a multicast address"),
        IpAddr::V6(_) => None,
    };
    wrong.map_or(Ok(NextHop::Addr(addr)), |kind| {
        Err(format!("{addr} is {kind}; accepted: {accepted}"))
    })
}

/// Six bytes in hexadecimal.
pub(super) fn mac(value: &DeValue<'_>) -> Result<[u8; 6], String> {
    let text = text(value, MAC)?;
    parse_mac(text).ok_or_else(|| format!("{text:?} is not a link-layer address; accepted: {MAC}"))
}

/// `02:00:00:00:00:01`, in letters of either case.
pub(super) fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let byte = |part: &str| {
        let is_hex = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex.then(|| u8::from_str_radix(part, 16).ok()).flatten()
    };
    let bytes: Vec<_> = text.split(':').map(byte).collect::<Option<_>>()?;
    bytes.try_into().ok()
}

/// Mark and mask; a number alone is compared in all bits.
pub(super) fn mark(value: &DeValue<'_>) -> Result<(u32, u32), String> {
    let (mark, mask) = match value {
        DeValue::Integer(integer) => {
            let mark = number(value, 0..=u32::MAX)
                .map_err(|_| format!("{integer} is out of range; accepted: {MARK}"))?;
            (mark, u32::MAX)
        }
        DeValue::String(text) => {
            let wrong = || format!("{text:?} is not a mark; accepted: {MARK}");
            let (mark, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
            bits(mark).zip(bits(mask)).ok_or_else(wrong)?
        }
        other => return Err(not_a(other, MARK)),
    };
    if mask == 0 {
        return Err(format!(
            "a mask of 0 matches every packet; accepted: {MARK}"
        ));
    }
    if mark & !mask != 0 {
        let right = mark & mask;
        return Err(format!(
            "{mark:#x} has bits outside the mask {mask:#x}; accepted: \"{right:#x}/{mask:#x}\", or a \
             wider mask"
        ));
    }
    Ok((mark, mask))
}

/// As `ip rule` shows it.
pub(super) fn mark_text((mark, mask): (u32, u32)) -> String {
    match mask {
        u32::MAX => format!("{mark:#x}"),
        _ => format!("{mark:#x}/{mask:#x}"),
    }
}

/// Value of `routing.mark_mask`.
pub(super) fn mark_mask(value: &DeValue<'_>) -> Result<u32, String> {
    let integer = value.as_integer().ok_or_else(|| not_a(value, MARK_MASK))?;
    number(value, 0..=u32::MAX)
        .ok()
        .filter(|mask| mask.count_ones() >= 4 && is_contiguous(*mask))
        .ok_or_else(|| format!("{integer} is no such mask; accepted: {MARK_MASK}"))
}

/// Number of an IP protocol, by name or as it is. 0 is `FRA_IP_PROTO` left out to the kernel.
pub(super) fn protocol(value: &DeValue<'_>) -> Result<u8, String> {
    match value {
        DeValue::String(text) => PROTOCOLS
            .iter()
            .find(|(name, _)| name == text)
            .map(|(_, number)| *number)
            .ok_or_else(|| format!("unknown {text:?}; accepted: {PROTOCOL}")),
        DeValue::Integer(integer) => number(value, 1..=255)
            .map(|number| number as u8)
            .map_err(|_| format!("{integer} is out of range; accepted: {PROTOCOL}")),
        other => Err(not_a(other, PROTOCOL)),
    }
}

fn bits(text: &str) -> Option<u32> {
    let (digits, radix) = text.strip_prefix("0x").map_or((text, 10), |hex| (hex, 16));
    // `from_str_radix` takes a sign.
    let has_sign = digits.starts_with('+');
    u32::from_str_radix(digits, radix)
        .ok()
        .filter(|_| !has_sign)
}

const fn is_contiguous(mask: u32) -> bool {
    mask.count_ones() + mask.leading_zeros() + mask.trailing_zeros() == u32::BITS
}
