//! How a flow came by its external address and port, or why it did not.

use std::{collections::BTreeSet, net::Ipv4Addr};

use snat_common::{Addr, Insert, MappingKind, Settings, Verdict, policy::Grant};

use super::{
    ExplainError,
    decisions::{Decision, Teller},
    evidence::Asked,
    names::endpoint,
};

/// The decisions of a claim: `asked` is what was asked while it was made, `end` how it ended.
pub(super) fn claim(
    teller: &Teller<'_>,
    grant: &Grant,
    asked: &[Asked],
    end: Option<&Asked>,
) -> Result<Vec<Decision>, ExplainError> {
    let verdict = match end {
        Some(Asked::Opened(verdict)) => *verdict,
        _ => Verdict::FlowVanishing,
    };
    let mut told = vec![limits(teller, grant, asked, verdict)];
    if matches!(
        verdict,
        Verdict::SourceLimit | Verdict::SourceRate | Verdict::ShareLimit
    ) {
        return Ok(told);
    }
    if grant.from_outside == 0 {
        told.push(port(teller, grant, asked, verdict)?);
    }
    Ok(told)
}

fn limits(teller: &Teller<'_>, grant: &Grant, asked: &[Asked], verdict: Verdict) -> Decision {
    let client = Ipv4Addr::from(grant.client);
    let flows = asked.iter().find_map(|asked| match asked {
        Asked::Client(addr, flows) if *addr == grant.client => Some(*flows),
        _ => None,
    });
    let has = format!("{client} has {} flows", flows.unwrap_or(0));
    let Settings {
        flows_per_source: most,
        new_flows_per_source: rate,
        max_flows,
        ..
    } = teller.view.tables.settings;
    let (detail, rests_on) = match verdict {
        Verdict::SourceLimit => (
            format!("{has}, all of the {most} that a client may have"),
            "limits.flows_per_source",
        ),
        Verdict::SourceRate => (
            format!("{has}, and opens more than {rate} a second"),
            "limits.new_flows_per_source",
        ),
        Verdict::ShareLimit => (
            format!(
                "{has}; the table of {max_flows} is nearly full, and that is more than its share"
            ),
            "gateway.max_flows",
        ),
        _ => (
            format!("{has}; limits: {}, {} a second", limit(most), limit(rate)),
            "map CLIENTS, [limits]",
        ),
    };
    Decision::new("limits", detail, rests_on)
}

fn limit(number: u32) -> String {
    match number {
        0 => "none".to_owned(),
        number => number.to_string(),
    }
}

/// Ports that were tried, in the order of their numbers.
#[derive(Default)]
struct Tried {
    addr: Option<Addr>,
    ports: BTreeSet<u16>,
    /// The port that was free, and whether it is the endpoint's own.
    got: Option<(u16, bool)>,
    /// The endpoint's port, which it had before.
    had: Option<(Addr, u16)>,
}

impl Tried {
    fn of(asked: &[Asked]) -> Self {
        let mut tried = Self::default();
        for asked in asked {
            match asked {
                Asked::Mapped(key, insert) if key.kind == MappingKind::Outer => {
                    tried.note(key.addr, key.port, *insert, true);
                }
                Asked::Entered(key, insert) if tried.got.is_none() && tried.had.is_none() => {
                    tried.note(key.dst, key.dst_port, *insert, false);
                }
                Asked::Mapping(key, Some(found))
                    if key.kind == MappingKind::Inner && tried.ports.is_empty() =>
                {
                    tried.had = Some(found.target);
                }
                // An inner element whose outer one is gone, or another's.
                Asked::Mapping(key, None)
                    if key.kind == MappingKind::Outer
                        && tried.had == Some((key.addr, key.port)) =>
                {
                    tried.had = None;
                }
                Asked::Socket(key, true) => {
                    tried.ports.insert(key.dst_port);
                }
                _ => {}
            }
        }
        tried
    }

    fn note(&mut self, addr: Addr, port: u16, insert: Insert, is_own: bool) {
        self.addr = Some(addr);
        self.ports.insert(port);
        if insert == Insert::Done {
            self.got = Some((port, is_own));
        }
    }
}

fn port(
    teller: &Teller<'_>,
    grant: &Grant,
    asked: &[Asked],
    verdict: Verdict,
) -> Result<Decision, ExplainError> {
    let tried = Tried::of(asked);
    let entry = teller.view.tables.entry(grant.entry)?;
    let set = entry.map_or(0, |entry| entry.port_set);
    let (all, _) = teller.view.tables.ports.counts(set)?.unwrap_or_default();
    let rests_on = format!("[[snat]] {}, map MAPPINGS", teller.names.entry(grant.entry));
    let client = endpoint(grant.client, grant.client_port);
    let detail = match (verdict, &tried) {
        (Verdict::TranslatedOut, Tried { had: Some(had), .. }) => {
            format!("{client} has {} for all its flows", endpoint(had.0, had.1))
        }
        (
            Verdict::TranslatedOut,
            Tried {
                addr: Some(addr),
                got: Some((0, _)),
                ..
            },
        ) => format!(
            "{}: the address alone, for a protocol without ports",
            Ipv4Addr::from(*addr)
        ),
        (
            Verdict::TranslatedOut,
            Tried {
                addr: Some(addr),
                got: Some((port, own)),
                ports,
                ..
            },
        ) => {
            let whose = if *own {
                "becomes the endpoint's own"
            } else {
                "is shared with flows to other servers"
            };
            format!(
                "{} was free at try {}, and {whose}",
                endpoint(*addr, *port),
                ports.len()
            )
        }
        (Verdict::PortsExhausted, Tried { addr: None, .. }) if tried.ports.is_empty() => format!(
            "no external address, or none of its {all} ports is free: known since the last one was taken"
        ),
        (Verdict::PortsExhausted, _) => format!(
            "none of the {all} ports is free towards that server; {} tried",
            tried.ports.len()
        ),
        (Verdict::ProtocolTaken, _) => {
            "another client owns the way to that server: the protocol has no ports".to_owned()
        }
        (Verdict::TableFull, _) => "the flow table is full".to_owned(),
        _ => "the flow vanishes while it is looked at".to_owned(),
    };
    Ok(Decision::new("port", detail, rests_on))
}
