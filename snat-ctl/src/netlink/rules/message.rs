//! Between a rule and the kernel's message of it.

use netlink_packet_core::{DefaultNla, Nla as _};
use netlink_packet_route::{
    IpProtocol,
    route::RouteProtocol,
    rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage, RulePortRange},
};

use crate::{
    eni::{Action, Rule},
    netlink::family,
};

/// `None` for a message of neither IPv4 nor IPv6.
pub(crate) fn from_message(message: RuleMessage) -> Option<Rule> {
    let family = family::known(message.header.family)?;
    let mut rule = Rule::new(family, 0, 0, Action::Other(message.header.action.into()));
    rule.inverted = message.header.flags.contains(RuleFlags::Invert);
    if message.header.tos != 0 {
        rule.unknown.push(format!("tos {:#x}", message.header.tos));
    }
    let lengths = (message.header.src_len, message.header.dst_len);
    let mut table = u32::from(message.header.table);
    let mut mark = (None, None);
    for attribute in message.attributes {
        match attribute {
            RuleAttribute::Table(number) => table = number,
            RuleAttribute::FwMark(number) => mark.0 = Some(number),
            RuleAttribute::FwMask(number) => mark.1 = Some(number),
            RuleAttribute::Source(addr) => rule.source = family::prefix(addr, lengths.0),
            RuleAttribute::Destination(addr) => rule.destination = family::prefix(addr, lengths.1),
            other => take(&mut rule, other),
        }
    }
    // The kernel says neither a mark of 0 nor a mask of 0 (`fib_nl_fill_rule`).
    rule.mark = match mark {
        (None, None) => None,
        (mark, mask) => Some((mark.unwrap_or(0), mask.unwrap_or(u32::MAX))),
    };
    set_action(&mut rule, message.header.action, table);
    Some(rule)
}

fn take(rule: &mut Rule, attribute: RuleAttribute) {
    match attribute {
        RuleAttribute::Priority(priority) => rule.priority = priority,
        RuleAttribute::Protocol(protocol) => rule.protocol = protocol.into(),
        RuleAttribute::Iifname(name) => rule.iif = Some(name),
        RuleAttribute::Oifname(name) => rule.oif = Some(name),
        RuleAttribute::IpProtocol(number) => rule.ip_protocol = Some(number.into()),
        RuleAttribute::SourcePortRange(ports) => rule.source_ports = Some((ports.start, ports.end)),
        RuleAttribute::DestinationPortRange(ports) => {
            rule.destination_ports = Some((ports.start, ports.end));
        }
        // -1 is none, and always said.
        RuleAttribute::SuppressPrefixLen(u32::MAX) | RuleAttribute::SuppressIfGroup(u32::MAX) => {}
        RuleAttribute::SuppressPrefixLen(length) => rule.suppress_prefix_length = Some(length),
        RuleAttribute::Other(other) if is_whole_port(&other) => {}
        other => rule.unknown.push(words(&other)),
    }
}

/// Masks of one port that is no range, `FRA_SPORT_MASK` and `FRA_DPORT_MASK`: said since Linux 6.15, also when full.
fn is_whole_port(attribute: &DefaultNla) -> bool {
    let full = u16::MAX.to_ne_bytes().to_vec();
    [28, 29]
        .map(|kind| DefaultNla::new(kind, full.clone()))
        .contains(attribute)
}

fn words(attribute: &RuleAttribute) -> String {
    match attribute {
        RuleAttribute::Goto(priority) => format!("goto {priority}"),
        RuleAttribute::L3MDev(_) => "l3mdev".to_owned(),
        RuleAttribute::UidRange(range) => format!("uidrange {}-{}", range.start, range.end),
        RuleAttribute::TunId(id) => format!("tun_id {id}"),
        RuleAttribute::Realm(realm) => format!("realms {}/{}", realm.source, realm.destination),
        RuleAttribute::SuppressIfGroup(group) => format!("suppress_ifgroup {group}"),
        RuleAttribute::Other(other) => {
            format!("attribute-{}", other.kind())
        }
        other => format!("{other:?}"),
    }
}

fn set_action(rule: &mut Rule, action: RuleAction, table: u32) {
    rule.action = match action {
        RuleAction::ToTable => Action::Lookup(table),
        RuleAction::Unreachable => Action::Unreachable,
        RuleAction::Prohibit => Action::Prohibit,
        RuleAction::Blackhole => Action::Blackhole,
        other => Action::Other(other.into()),
    };
    if table != 0 && action != RuleAction::ToTable {
        rule.unknown.push(format!("table {table}"));
    }
}

pub(super) fn to_message(rule: &Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = family::number(rule.family);
    message.header.flags.set(RuleFlags::Invert, rule.inverted);
    message.attributes = selectors(rule);
    message.attributes.extend([
        RuleAttribute::Priority(rule.priority),
        RuleAttribute::Protocol(RouteProtocol::from(rule.protocol)),
    ]);
    if let Some(source) = rule.source {
        message.header.src_len = source.prefix_len();
        message
            .attributes
            .push(RuleAttribute::Source(source.network()));
    }
    if let Some(destination) = rule.destination {
        message.header.dst_len = destination.prefix_len();
        message
            .attributes
            .push(RuleAttribute::Destination(destination.network()));
    }
    message.header.action = match rule.action {
        Action::Lookup(table) => {
            message.attributes.push(RuleAttribute::Table(table));
            RuleAction::ToTable
        }
        Action::Unreachable => RuleAction::Unreachable,
        Action::Prohibit => RuleAction::Prohibit,
        Action::Blackhole => RuleAction::Blackhole,
        Action::Other(number) => RuleAction::from(number),
    };
    message
}

fn selectors(rule: &Rule) -> Vec<RuleAttribute> {
    let ports = |(start, end)| RulePortRange { start, end };
    let (mark, mask) = rule.mark.unzip();
    [
        rule.iif.clone().map(RuleAttribute::Iifname),
        rule.oif.clone().map(RuleAttribute::Oifname),
        mark.map(RuleAttribute::FwMark),
        mask.map(RuleAttribute::FwMask),
        rule.ip_protocol
            .map(|number| RuleAttribute::IpProtocol(IpProtocol::from(number))),
        rule.source_ports
            .map(|range| RuleAttribute::SourcePortRange(ports(range))),
        rule.destination_ports
            .map(|range| RuleAttribute::DestinationPortRange(ports(range))),
        rule.suppress_prefix_length
            .map(RuleAttribute::SuppressPrefixLen),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::DefaultNla;
    use netlink_packet_route::{
        AddressFamily,
        rule::{RuleAction, RuleAttribute, RuleMessage},
    };

    use super::from_message;
    use crate::eni::Action;

    fn message(attributes: Vec<RuleAttribute>) -> RuleMessage {
        let mut message = RuleMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.action = RuleAction::ToTable;
        message.header.table = 252;
        message.attributes = attributes;
        message
    }

    #[test]
    fn a_mark_without_a_mask_is_the_whole_mark() {
        let rule = from_message(message(vec![RuleAttribute::FwMark(7)]));
        assert_eq!(rule.and_then(|rule| rule.mark), Some((7, u32::MAX)));
    }

    #[test]
    fn the_attribute_says_the_table_whatever_the_header_says() {
        let rule = from_message(message(vec![RuleAttribute::Table(1001)]));
        assert_eq!(rule.map(|rule| rule.action), Some(Action::Lookup(1001)));
    }

    #[test]
    fn an_attribute_of_a_later_kernel_is_not_passed_over() {
        let later = RuleAttribute::Other(DefaultNla::new(77, vec![1]));
        let rule = from_message(message(vec![later])).expect("an IPv4 rule");
        assert_eq!(rule.unknown, ["attribute-77"]);
        let part_of_a_port = RuleAttribute::Other(DefaultNla::new(29, vec![0, 0xff]));
        let rule = from_message(message(vec![part_of_a_port])).expect("an IPv4 rule");
        assert_eq!(rule.unknown, ["attribute-29"]);
    }
}
