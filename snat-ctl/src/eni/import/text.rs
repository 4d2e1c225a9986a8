//! What was imported as a configuration file.
//!
//! Keys are laid out here, in the order of the sample file; values are written by the `toml` crate.

use std::fmt::Write as _;

use toml::Value;

use super::Imported;
use crate::config::{
    AccessRule, Eni, Match, NextHop, RuleVerdict, mac_text,
    write::{Keys, list, section},
};

impl Imported {
    /// The text of a configuration file; the notes are comments at its top.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        for note in &self.notes {
            let _ = writeln!(
                text,
                "# {}",
                note.to_string().replace(char::is_control, " ")
            );
        }
        if !self.bypass.is_empty() {
            section(&mut text, "[routing]", vec![("bypass", list(&self.bypass))]);
        }
        for eni in &self.enis {
            section(&mut text, "[[eni]]", of_eni(eni));
        }
        for rule in &self.rules {
            section(&mut text, "[[rule]]", of_rule(rule));
        }
        text
    }
}

fn of_eni(eni: &Eni) -> Keys {
    let (key, value) = match &eni.matcher {
        Match::Name(name) => ("name", name.clone()),
        Match::Mac(mac) => ("mac", mac_text(*mac)),
    };
    let matcher = toml::Table::from_iter([(key.to_owned(), Value::from(value))]);
    vec![
        ("match", Some(Value::Table(matcher))),
        ("table", eni.table.map(Value::from)),
        ("gateway", next_hop(eni.gateway)),
        ("gateway6", next_hop(eni.gateway6)),
        ("default_metric", eni.default_metric.map(Value::from)),
        ("prefixes", list(&eni.prefixes)),
        ("mark", eni.mark.map(mark)),
        ("weight", eni.weight.map(Value::from)),
    ]
}

fn of_rule(rule: &AccessRule) -> Keys {
    let (key, value) = match &rule.verdict {
        RuleVerdict::Eni(name) => ("lookup", Value::from(name.clone())),
        RuleVerdict::Table(crate::eni::MAIN) => ("lookup", Value::from("main")),
        RuleVerdict::Table(table) => ("lookup", Value::from(*table)),
        RuleVerdict::Unreachable => ("action", Value::from("unreachable")),
        RuleVerdict::Prohibit => ("action", Value::from("prohibit")),
        RuleVerdict::Blackhole => ("action", Value::from("blackhole")),
    };
    vec![
        ("source", list(&rule.source)),
        ("destination", list(&rule.destination)),
        ("interface", rule.interface.clone().map(Value::from)),
        ("protocol", rule.protocol.map(protocol)),
        ("source_ports", rule.source_ports.map(ports)),
        ("destination_ports", rule.destination_ports.map(ports)),
        ("mark", rule.mark.map(mark)),
        (key, Some(value)),
    ]
}

fn next_hop(next_hop: NextHop) -> Option<Value> {
    match next_hop {
        NextHop::Auto => None,
        NextHop::None => Some(Value::from("none")),
        NextHop::Addr(addr) => Some(Value::from(addr.to_string())),
    }
}

fn mark((mark, mask): (u32, u32)) -> Value {
    match mask {
        u32::MAX => Value::from(format!("{mark:#x}")),
        _ => Value::from(format!("{mark:#x}/{mask:#x}")),
    }
}

fn protocol(number: u8) -> Value {
    match number {
        1 => Value::from("icmp"),
        6 => Value::from("tcp"),
        17 => Value::from("udp"),
        58 => Value::from("icmpv6"),
        132 => Value::from("sctp"),
        _ => Value::from(u32::from(number)),
    }
}

fn ports((first, last): (u16, u16)) -> Value {
    if first == last {
        Value::from(u32::from(first))
    } else {
        Value::from(format!("{first}-{last}"))
    }
}
