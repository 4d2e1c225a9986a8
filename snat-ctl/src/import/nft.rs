//! What `nft` lists, as text and as JSON: the two readers give statements, and this makes rules of those.

mod elements;
pub(super) mod json;
mod json_values;
mod nat;
mod rule;
pub(super) mod text;
mod tokens;

use super::{
    matches::{Field, Matches},
    model::{Action, Base, Case, Hook, Target},
};
use crate::config::MssClamp;

/// A piece of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Statement {
    /// The fields, several of a concatenation, have one of these values.
    Match {
        fields: Vec<String>,
        not: bool,
        values: Vec<Vec<String>>,
    },
    /// A verdict.
    Verdict(Action),
    /// A verdict for each element of a map.
    Verdicts {
        fields: Vec<String>,
        elements: Vec<(Vec<String>, Action)>,
    },
    /// `snat`, `dnat`, `masquerade`.
    Nat(Nat),
    /// `tcp option maxseg size set`.
    Mss(MssClamp),
    /// Counts: no matter.
    Idle,
    /// The packet goes on.
    Log,
    /// Another, in its words.
    Other(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Nat {
    kind: String,
    to: To,
    ports: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum To {
    /// The interface's own address.
    #[default]
    Own,
    /// An address or range.
    Addr(String),
    /// By a map: its fields, and for each key an address and perhaps a port.
    Map {
        fields: Vec<String>,
        elements: Vec<(Vec<String>, Vec<String>)>,
    },
    /// Any of these, whatever the packet.
    Any(Vec<String>),
}

/// A rule's cases: one, or as many as its map has elements.
fn cases(statements: Vec<Statement>) -> Vec<Case> {
    let mut all = vec![Case {
        matches: Matches::everything(),
        action: Action::Nothing,
        logs: false,
    }];
    for statement in statements {
        match statement {
            Statement::Idle => {}
            Statement::Log => all.iter_mut().for_each(|case| case.logs = true),
            Statement::Match {
                fields,
                not,
                values,
            } => {
                // A concatenation with one value is as good as its fields one by one.
                for case in &mut all {
                    restrict(&mut case.matches, &fields, not, &values);
                }
            }
            Statement::Other(words) => {
                for case in &mut all {
                    case.matches.others.push(words.clone());
                }
            }
            Statement::Verdict(action) => end(&mut all, &action),
            Statement::Mss(mss) => end(&mut all, &Action::Mss(mss)),
            Statement::Verdicts { fields, elements } => all = by_element(&all, &fields, &elements),
            Statement::Nat(nat) => all = translation(&all, &nat),
        }
    }
    for case in all.iter_mut().filter(|case| case.logs) {
        if case.action == Action::Nothing {
            case.action = Action::Other("log".to_owned());
        }
    }
    all
}

fn end(cases: &mut [Case], action: &Action) {
    for case in cases {
        case.action = action.clone();
    }
}

fn translation(cases: &[Case], nat: &Nat) -> Vec<Case> {
    let one = |to: Vec<String>, port: Option<String>| nat_action(&nat.kind, to, port);
    let plain = |action: Action| {
        let mut cases = cases.to_vec();
        end(&mut cases, &action);
        cases
    };
    match &nat.to {
        To::Own => plain(one(Vec::new(), nat.ports.clone())),
        To::Addr(addr) => plain(one(vec![addr.clone()], nat.ports.clone())),
        To::Any(addrs) => plain(one(addrs.clone(), nat.ports.clone())),
        To::Map { fields, elements } => {
            let actions = elements.iter().map(|(key, value)| {
                let port = value.get(1).cloned().or_else(|| nat.ports.clone());
                let addr = value.first().cloned().into_iter().collect();
                (key.clone(), one(addr, port))
            });
            by_element(cases, fields, &actions.collect::<Vec<_>>())
        }
    }
}

fn nat_action(kind: &str, mut to: Vec<String>, port: Option<String>) -> Action {
    match (kind, to.len()) {
        ("masquerade", 0) => Action::Source {
            to: None,
            ports: port,
        },
        ("snat", 1..) => Action::Source {
            to: Some(to),
            ports: port,
        },
        ("dnat", 1) => Action::Destination(Target {
            addr: to.remove(0),
            port,
        }),
        _ => Action::Other(kind.to_owned()),
    }
}

fn by_element(cases: &[Case], fields: &[String], elements: &[(Vec<String>, Action)]) -> Vec<Case> {
    let each = |case: &Case| {
        let case = case.clone();
        elements.iter().map(move |(key, action)| {
            let mut case = case.clone();
            restrict(&mut case.matches, fields, false, std::slice::from_ref(key));
            case.action = action.clone();
            case
        })
    };
    // An empty map matches nothing, and the rule is still one.
    let empty = || {
        vec![Case {
            matches: cases[0].matches.clone(),
            action: Action::Nothing,
            logs: cases[0].logs,
        }]
    };
    let all: Vec<_> = cases.iter().flat_map(each).collect();
    if all.is_empty() { empty() } else { all }
}

fn restrict(matches: &mut Matches, fields: &[String], not: bool, values: &[Vec<String>]) {
    let done = match (fields, values) {
        ([field], values) => {
            let column: Option<Vec<_>> = values.iter().map(|value| value.first()).collect();
            column.and_then(|column| restrict_field(matches, field, not, &column))
        }
        (fields, [value]) if !not && fields.len() == value.len() => fields
            .iter()
            .zip(value)
            .try_for_each(|(field, value)| restrict_field(matches, field, false, &[value])),
        _ => None,
    };
    if done.is_none() {
        let values: Vec<_> = values.iter().map(|value| value.join(" . ")).collect();
        let not = if not { " !=" } else { "" };
        let words = format!("{}{not} {}", fields.join(" . "), values.join(", "));
        matches.others.push(words);
    }
}

fn restrict_field(matches: &mut Matches, field: &str, not: bool, values: &[&String]) -> Option<()> {
    // A port is of a protocol that has ports.
    let of = |matches: &mut Matches, port| {
        let protocol = field.split(' ').next().unwrap_or_default();
        if protocol != "th" {
            matches.restrict(Field::Protocol, false, &[protocol])?;
        }
        matches.restrict(port, not, values)
    };
    match field {
        "ip saddr" => matches.restrict(Field::Source, not, values),
        "ip daddr" => matches.restrict(Field::Destination, not, values),
        "ip protocol" | "meta l4proto" => matches.restrict(Field::Protocol, not, values),
        "meta iifname" | "meta iif" => matches.restrict(Field::Input, not, values),
        "meta oifname" | "meta oif" => matches.restrict(Field::Output, not, values),
        "tcp dport" | "udp dport" | "sctp dport" | "th dport" => {
            of(matches, Field::DestinationPort)
        }
        "tcp sport" | "udp sport" | "sctp sport" | "th sport" => of(matches, Field::SourcePort),
        "meta nfproto" | "meta protocol" => family(matches, not, values),
        // NAT sees the first packet of a connection only.
        "ct state" if !not && values.iter().any(|state| *state == "new") => Some(()),
        "fib daddr type" if !not && values.len() == 1 && values[0] == "local" => {
            matches.local = true;
            Some(())
        }
        _ if field.starts_with("ip6 ") => {
            matches.ipv6 = true;
            Some(())
        }
        _ => None,
    }
}

fn family(matches: &mut Matches, not: bool, values: &[&String]) -> Option<()> {
    let [value] = values else { return None };
    match (value.as_str(), not) {
        ("ipv4" | "ip", false) | ("ipv6" | "ip6", true) => {}
        ("ipv6" | "ip6", false) | ("ipv4" | "ip", true) => matches.ipv6 = true,
        _ => return None,
    }
    Some(())
}

/// What `type nat hook postrouting priority 100; policy drop;` says; `None` for hooks that no packet of ours has to do
/// with.
fn base(kind: &str, hook: &str, priority: i64, policy: &str) -> Base {
    let hook = match hook {
        "prerouting" => Hook::Prerouting,
        "postrouting" => Hook::Postrouting,
        "forward" => Hook::Forward,
        "input" | "output" => Hook::Own,
        _ => Hook::Device,
    };
    Base {
        hook,
        nat: kind == "nat",
        priority,
        closed: policy == "drop",
    }
}

/// A verdict by its name.
fn verdict(name: &str, chain: &str) -> Option<Action> {
    Some(match name {
        "accept" => Action::Accept,
        "return" => Action::Return,
        "jump" => Action::Jump(chain.to_owned()),
        "goto" => Action::Goto(chain.to_owned()),
        "continue" => Action::Nothing,
        "drop" | "queue" => Action::Other(name.to_owned()),
        _ => return None,
    })
}
