//! The commands of iproute2.

use std::net::IpAddr;

use super::words::{Names, Words, number, prefix};
use crate::eni::{Action, Family, MAIN, Route, RouteKind, Rule};

/// `RTPROT_BOOT`: what `ip` writes into what it makes.
const BOOT: u8 = 3;

/// What a command does, as far as that is our business.
#[derive(Debug)]
pub(super) enum Meaning {
    /// It adds a rule; without a priority the kernel chooses one.
    Rule { rule: Box<Rule>, chosen: bool },
    /// It adds a route.
    Route(Box<Route>),
    /// It changes nothing.
    Nothing,
}

/// Reads the words behind `ip`.
///
/// # Errors
///
/// Why it is not understood.
pub(super) fn ip(words: &[String], names: &Names) -> Result<Meaning, String> {
    let mut words = Words::new(words);
    let mut family = None;
    while let Some(option) = words.peek().filter(|word| word.starts_with('-')) {
        words.next();
        match option {
            "-4" => family = Some(Family::Inet),
            "-6" => family = Some(Family::Inet6),
            _ => return Err(format!("option {option:?} of ip is not understood")),
        }
    }
    let object = words.next().unwrap_or_default();
    let verb = words.next().unwrap_or("show");
    let is = |name: &str, shortest: usize| object.len() >= shortest && name.starts_with(object);
    match verb {
        "show" | "list" | "ls" | "get" => Ok(Meaning::Nothing),
        "add" | "a" if is("rule", 2) => rule(words, family, names),
        "add" | "a" | "replace" | "append" | "prepend" | "change" if is("route", 1) => {
            route(words, family, names)
        }
        _ => Err("only `ip rule add` and `ip route add` are read".to_owned()),
    }
}

fn rule(mut words: Words<'_>, family: Option<Family>, names: &Names) -> Result<Meaning, String> {
    let mut rule = Rule::new(
        family.unwrap_or(Family::Inet),
        0,
        BOOT,
        Action::Lookup(MAIN),
    );
    let mut chosen = true;
    while let Some(word) = words.next() {
        match word {
            "not" => rule.inverted = true,
            "from" => rule.source = selector(&mut words, word)?,
            "to" => rule.destination = selector(&mut words, word)?,
            "iif" | "dev" => rule.iif = Some(words.value(word)?.to_owned()),
            "oif" => rule.oif = Some(words.value(word)?.to_owned()),
            "fwmark" => rule.mark = Some(mark(words.value(word)?)?),
            "ipproto" => rule.ip_protocol = Some(ip_protocol(words.value(word)?)?),
            "sport" => rule.source_ports = Some(ports(words.value(word)?)?),
            "dport" => rule.destination_ports = Some(ports(words.value(word)?)?),
            "lookup" | "table" => rule.action = Action::Lookup(words.table(word, names)?),
            "priority" | "preference" | "pref" | "order" => {
                rule.priority = words.number(word)?;
                chosen = false;
            }
            "suppress_prefixlength" | "sup_pl" => {
                rule.suppress_prefix_length = Some(words.number(word)?);
            }
            "protocol" => drop(words.value(word)?),
            "type" => {}
            "unreachable" => rule.action = Action::Unreachable,
            "prohibit" => rule.action = Action::Prohibit,
            "blackhole" => rule.action = Action::Blackhole,
            _ => return Err(format!("{word:?} is not understood")),
        }
    }
    let prefixes = [rule.source, rule.destination];
    if let Some(net) = prefixes.into_iter().flatten().next() {
        rule.family = Family::of(net.addr());
    }
    let rule = Box::new(rule);
    Ok(Meaning::Rule { rule, chosen })
}

/// A prefix of a rule; all addresses are no condition.
fn selector(words: &mut Words<'_>, key: &str) -> Result<Option<ipnet::IpNet>, String> {
    let word = words.value(key)?;
    let net =
        prefix(word, None).ok_or_else(|| format!("\"{key}\" takes a prefix, not {word:?}"))?;
    Ok((net.prefix_len() != 0).then_some(net))
}

fn mark(word: &str) -> Result<(u32, u32), String> {
    let (mark, mask) = word.split_once('/').unwrap_or((word, "0xffffffff"));
    number(mark)
        .zip(number(mask))
        .ok_or_else(|| format!("{word:?} is no mark"))
}

fn ip_protocol(word: &str) -> Result<u8, String> {
    let number = match word {
        "icmp" => 1,
        "tcp" => 6,
        "udp" => 17,
        "ipv6-icmp" | "icmpv6" => 58,
        "sctp" => 132,
        _ => {
            return word
                .parse()
                .map_err(|_| format!("protocol {word:?} is not known"));
        }
    };
    Ok(number)
}

fn ports(word: &str) -> Result<(u16, u16), String> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    let port = |text: &str| text.parse::<u16>().ok();
    port(first)
        .zip(port(last))
        .ok_or_else(|| format!("{word:?} is no port or range of ports"))
}

fn route(mut words: Words<'_>, family: Option<Family>, names: &Names) -> Result<Meaning, String> {
    let kind = kind(&mut words);
    let to = match words.value("route")? {
        "to" => words.value("to")?,
        word => word,
    };
    let mut route = plain_route(family.unwrap_or(Family::Inet).everything());
    route.kind = kind;
    while let Some(word) = words.next() {
        match word {
            "via" => route.gateway = Some(gateway(&mut words)?),
            "dev" => route.dev = Some(words.value(word)?.to_owned()),
            "src" => route.source = Some(words.address(word)?),
            "table" => route.table = words.table(word, names)?,
            "metric" | "priority" | "preference" => route.metric = words.number(word)?,
            "onlink" => route.onlink = true,
            "proto" | "protocol" | "scope" => drop(words.value(word)?),
            _ => return Err(format!("{word:?} is not understood")),
        }
    }
    let family = family.or(route.gateway.map(Family::of));
    route.destination = prefix(to, family).ok_or_else(|| format!("{to:?} is no prefix"))?;
    Ok(Meaning::Route(Box::new(route)))
}

fn kind(words: &mut Words<'_>) -> RouteKind {
    let kind = match words.peek() {
        Some("unreachable") => RouteKind::Unreachable,
        Some("prohibit") => RouteKind::Prohibit,
        Some("blackhole") => RouteKind::Blackhole,
        Some("unicast") => RouteKind::Unicast,
        _ => return RouteKind::Unicast,
    };
    words.next();
    kind
}

fn gateway(words: &mut Words<'_>) -> Result<IpAddr, String> {
    match words.peek() {
        Some(family @ ("inet" | "inet6")) => {
            words.next();
            words.address(family)
        }
        _ => words.address("via"),
    }
}

/// One as `ip` makes it in the main table.
pub(super) fn plain_route(destination: ipnet::IpNet) -> Route {
    Route {
        table: MAIN,
        destination,
        metric: 0,
        kind: RouteKind::Unicast,
        gateway: None,
        dev: None,
        source: None,
        onlink: false,
        protocol: BOOT,
        scope: 0,
        unknown: Vec::new(),
    }
}
