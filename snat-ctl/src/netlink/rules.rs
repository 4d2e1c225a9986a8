//! The kernel's policy rules: all of them read, ours added and deleted.

mod message;

use netlink_packet_core::NLM_F_CREATE;
use netlink_packet_route::{RouteNetlinkMessage, rule::RuleMessage};

pub(crate) use self::message::from_message as to_rule;
use self::message::{from_message, to_message};
use super::{NetlinkError, dump::dump_family, family, request::change};
use crate::eni::{Family, Rule};

/// All rules in the order in which the kernel asks them, IPv4 then IPv6.
///
/// # Errors
///
/// [`NetlinkError`] when the kernel's list cannot be had.
pub fn rules() -> Result<Vec<Rule>, NetlinkError> {
    let mut all = Vec::new();
    for family in Family::ALL {
        let mut request = RuleMessage::default();
        request.header.family = family::number(family);
        let answer = dump_family("rules", &RouteNetlinkMessage::GetRule(request))?;
        all.extend(answer.into_iter().filter_map(|message| match message {
            RouteNetlinkMessage::NewRule(rule) => from_message(rule),
            _ => None,
        }));
    }
    Ok(all)
}

/// Adds a rule behind those of its priority.
///
/// The kernel takes a second one of the same shape, be it ours or somebody else's: whoever calls this has looked
/// at [`rules`].
///
/// # Errors
///
/// [`NetlinkError`] when the kernel refuses it, or part of it is [unknown](Rule::unknown).
pub fn add_rule(rule: &Rule) -> Result<(), NetlinkError> {
    let command = command("add", rule)?;
    let message = RouteNetlinkMessage::NewRule(to_message(rule));
    change(message, NLM_F_CREATE, &command, advice)
}

/// Deletes a rule, and no other.
///
/// To the kernel (`fib_nl_delrule`) a selector that is not given fits every rule, and it deletes the first that
/// fits; `not` it does not look at. So a wider rule of the same owner, priority and table would take another with
/// it: one that stands before it gets a copy behind it first, and is never missing.
///
/// # Errors
///
/// [`NetlinkError`] when the kernel refuses it; [`NetlinkError::is_gone`] when there is no such rule.
pub fn delete_rule(rule: &Rule) -> Result<(), NetlinkError> {
    let command = command("delete", rule)?;
    let fitting: Vec<_> = rules()?
        .into_iter()
        .filter(|other| fits(rule, other))
        .collect();
    // Where it is not there, nothing that merely fits may go in its place.
    let Some(ahead) = fitting.iter().position(|other| other == rule) else {
        return Err(NetlinkError::gone(command, libc::ENOENT));
    };
    for other in &fitting[..ahead] {
        add_rule(other)?;
    }
    for _ in 0..=ahead {
        let message = RouteNetlinkMessage::DelRule(to_message(rule));
        change(message, 0, &command, advice)?;
    }
    Ok(())
}

/// Whether the kernel takes `other` for what is asked for (`rule_find`, `fib4_rule_compare`, `fib6_rule_compare`).
fn fits(asked: &Rule, other: &Rule) -> bool {
    fn same<T: PartialEq>(asked: &Option<T>, other: &Option<T>) -> bool {
        asked.is_none() || asked == other
    }
    asked.family == other.family
        && asked.priority == other.priority
        && asked.protocol == other.protocol
        && asked.action == other.action
        && same(&asked.source, &other.source)
        && same(&asked.destination, &other.destination)
        && same(&asked.iif, &other.iif)
        && same(&asked.oif, &other.oif)
        && same(&asked.mark, &other.mark)
        && same(&asked.ip_protocol, &other.ip_protocol)
        && same(&asked.source_ports, &other.source_ports)
        && same(&asked.destination_ports, &other.destination_ports)
        && same(&asked.suppress_prefix_length, &other.suppress_prefix_length)
}

fn command(verb: &str, rule: &Rule) -> Result<String, NetlinkError> {
    let command = rule.command(verb);
    if rule.unknown.is_empty() {
        Ok(command)
    } else {
        Err(NetlinkError::Foreign { command })
    }
}

const fn advice(errno: i32) -> &'static str {
    match errno {
        libc::EPERM => "; it takes CAP_NET_ADMIN: run as root",
        libc::EINVAL => "; the kernel may be too old for one of its selectors",
        _ => "",
    }
}
