//! Whether a `[[forward]]` can say what a rule does, and what of it.

use std::net::Ipv4Addr;

use super::{
    matches::{Matches, TCP, UDP},
    model::Target,
    ranges::{self, Ranges},
    sources::HALF,
};

/// Why, and what to do.
pub(super) type Wrong = (String, String);

pub(super) const BY_HAND: &str = "write a [[forward]] by hand, if there is one for what is meant";

pub(super) fn unfit(matches: &Matches) -> Result<(), Wrong> {
    let wrong = |why: &str, fix: &str| Err((why.to_owned(), fix.to_owned()));
    if matches.ipv6 {
        return wrong(
            "IPv6 is not translated by the gateway, but left to the kernel",
            "keep it",
        );
    }
    if !matches.others.is_empty() {
        let why = format!(
            "it asks for \"{}\"; a [[forward]] asks for protocol, address and port",
            matches.others.join(", ")
        );
        return wrong(&why, BY_HAND);
    }
    if matches.source.size() < HALF {
        let fix = "a [[forward]], and whom it is for in the VPC's security group";
        return wrong("it is for some senders only; a [[forward]] is for all", fix);
    }
    if !Ranges::of(vec![(TCP, TCP), (UDP, UDP)]).covers(&matches.protocol) {
        let fix = "a [[forward]] for each TCP and UDP port that is in use";
        return wrong("it is not for TCP or UDP alone, as a [[forward]] is", fix);
    }
    if matches.destination_ports.size() > u64::from(u16::MAX) {
        let fix = "a [[forward]] for each port that is in use";
        return wrong("it is for every port; a [[forward]] is for one", fix);
    }
    let others = Ranges::up_to(u16::MAX.into());
    if matches.source_ports != others {
        return wrong(
            "it is for some ports of the sender only; a [[forward]] is for all",
            BY_HAND,
        );
    }
    Ok(())
}

/// Takes out what is let go before; or says why that cannot be.
pub(super) fn exempt(matches: &mut Matches, let_go: &Matches) -> Result<(), String> {
    let why = "it lets some packets go before they are forwarded; a [[forward]] is for all that come to its port";
    *matches = matches.without(let_go).ok_or_else(|| why.to_owned())?;
    Ok(())
}

/// How ports are told from each other behind the forward.
pub(super) fn to_port(
    ports: &Ranges,
    to: Option<&str>,
) -> Result<impl Fn(u32) -> u16 + use<>, Wrong> {
    let (range, base) = match to.map(|to| to.split_once('/').unwrap_or((to, ""))) {
        None => (None, None),
        Some((range, base)) => (ranges::ports(range), base.parse::<u32>().ok()),
    };
    let one = range
        .filter(|(first, last)| first == last)
        .map(|(first, _)| first);
    let stays = range.is_some_and(|range| Ranges::of(vec![range]) == *ports) && base.is_none();
    let shift = range
        .zip(base)
        .map(|((first, _), base)| i64::from(first) - i64::from(base));
    if to.is_some() && one.is_none() && !stays && shift.is_none() {
        let why = format!(
            "it leads to any of the ports {}; a [[forward]] leads to one",
            to.unwrap_or_default()
        );
        return Err((why, BY_HAND.to_owned()));
    }
    Ok(move |port: u32| {
        let shifted = i64::from(port) + shift.unwrap_or_default();
        one.unwrap_or(shifted.clamp(0, u16::MAX.into()) as u32) as u16
    })
}

pub(super) fn unknown_address(matches: &Matches, internal: Ipv4Addr, target: &Target) -> Wrong {
    let ports = &matches.destination_ports;
    let port = ports.each().next().unwrap_or_default();
    let to = target.port.clone().unwrap_or_else(|| port.to_string());
    let tcp = matches.protocol.meets(&Ranges::of(vec![(TCP, TCP)]));
    let protocol = if tcp { "tcp" } else { "udp" };
    let whose = match matches.input.listed().next() {
        Some(name) => format!("the address of {name}"),
        None => "the external address".to_owned(),
    };
    let fix = format!(
        "with {whose} for ADDRESS: [[forward]] protocol = \"{protocol}\", external = \"ADDRESS:{port}\", \
         internal = \"{internal}:{to}\"; or import --live on the gateway"
    );
    (
        "it names no address that packets come to; a [[forward]] does".to_owned(),
        fix,
    )
}
