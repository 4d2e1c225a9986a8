//! From what the engine asked to what a person reads: each decision in order, with what it rests on.

use std::{collections::BTreeSet, net::Ipv4Addr};

use serde::Serialize;
use snat_common::{Addr, FlowKey, Route, RouteQuery, Verdict, flow::Direction};

use super::{
    ExplainError,
    claims::claim,
    evidence::{Asked, SeenFlow, SeenMapping},
    names::{Names, endpoint, filtering, period},
    view::View,
};
use crate::datapath::state_name;

/// A step on a packet's way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// What was decided: `flow`, `source`, `destination`, `bypass`, `route`, `interface`, `mapping`, `socket`,
    /// `limits`, `port`, `egress`, `stack`, `guard` or `answer`.
    pub what: &'static str,
    /// How, in a sentence.
    pub detail: String,
    /// On what: a line of the configuration, a map of the datapath, a route table.
    pub rests_on: String,
}

impl Decision {
    pub(super) fn new(
        what: &'static str,
        detail: impl Into<String>,
        rests_on: impl Into<String>,
    ) -> Self {
        Self {
            what,
            detail: detail.into(),
            rests_on: rests_on.into(),
        }
    }
}

/// A round's surroundings.
pub(super) struct Teller<'a> {
    pub(super) view: &'a View,
    pub(super) names: &'a Names,
    pub(super) ingress: u32,
    /// The second round of a hairpinned packet.
    pub(super) again: bool,
}

impl Teller<'_> {
    /// What a round was decided with.
    pub(super) fn tell(
        &self,
        asked: &[Asked],
        verdict: Verdict,
    ) -> Result<Vec<Decision>, ExplainError> {
        let mut told = Vec::new();
        let mut said = BTreeSet::new();
        let mut rest = asked;
        while let Some((first, behind)) = rest.split_first() {
            rest = behind;
            let decision = match first {
                Asked::Open(grant) => {
                    let end = behind
                        .iter()
                        .position(|asked| matches!(asked, Asked::Opened(_)));
                    let (during, after) = behind.split_at(end.unwrap_or(behind.len()));
                    told.extend(claim(self, grant, during, after.first())?);
                    rest = after;
                    None
                }
                Asked::Flow(key, found) if said.insert("flow".to_owned()) => {
                    Some(self.flow(key, found.as_ref(), verdict))
                }
                Asked::Route(query, route) => Some(self.route(query, route)),
                asked => self.policy(asked, verdict)?,
            };
            told.extend(decision.filter(|decision| said.insert(decision.detail.clone())));
        }
        Ok(told)
    }

    fn policy(&self, asked: &Asked, verdict: Verdict) -> Result<Option<Decision>, ExplainError> {
        Ok(match asked {
            Asked::Source(addr, entry) if !self.again => Some(self.source(*addr, *entry)?),
            Asked::External(addr, Some(sets)) => Some(external(*addr, *sets, verdict)),
            Asked::Bypass(addr, is_in) => Some(self.bypass(*addr, *is_in)?),
            Asked::OwnRoutes(addr) => Some(Decision::new(
                "route",
                format!(
                    "{} has policy routes of its own: they decide, not the client's source",
                    Ipv4Addr::from(*addr)
                ),
                "map BY_SOURCE, from [[eni]]",
            )),
            Asked::Managed(ifindex, false) => Some(Decision::new(
                "interface",
                format!(
                    "{} is none of the gateway's interfaces",
                    self.names.interface(*ifindex)
                ),
                self.names.file.interfaces(),
            )),
            Asked::Mapping(key, found) if verdict != Verdict::FlowVanishing => {
                Some(self.mapping((key.addr, key.port), found.as_ref()))
            }
            Asked::Socket(key, true) => Some(Decision::new(
                "socket",
                format!(
                    "a socket of this host waits at {}",
                    endpoint(key.dst, key.dst_port)
                ),
                "the kernel's socket lookup",
            )),
            _ => None,
        })
    }

    fn flow(&self, key: &FlowKey, found: Option<&SeenFlow>, verdict: Verdict) -> Decision {
        let tuple = format!(
            "{} -> {}",
            endpoint(key.src, key.src_port),
            endpoint(key.dst, key.dst_port)
        );
        let Some(flow) = found else {
            return Decision::new("flow", format!("none yet for {tuple}"), "map FLOWS");
        };
        let timeouts = &self.view.tables.settings.timeouts;
        let timeout = timeouts.get(usize::from(flow.state)).copied().unwrap_or(0);
        let state = state_name(flow.state);
        let idle = period(flow.idle);
        if flow.idle > timeout {
            let end = if verdict == Verdict::TranslatedOut || verdict == Verdict::TranslatedIn {
                "this packet opens it anew"
            } else {
                "it counts no more"
            };
            return Decision::new(
                "flow",
                format!(
                    "one that has expired ({state}, idle {idle}, timeout {}): {end}",
                    period(timeout)
                ),
                "map FLOWS, [timeouts]",
            );
        }
        let becomes = match flow.direction {
            Direction::Out => "source",
            Direction::In => "destination",
        };
        let (addr, port) = flow.target;
        Decision::new(
            "flow",
            format!(
                "open for {}, {state}, idle {idle}, {} packets this way; its {becomes} becomes {}",
                period(flow.age),
                flow.packets,
                endpoint(addr, port)
            ),
            "map FLOWS",
        )
    }

    fn source(&self, addr: Addr, entry: Option<u32>) -> Result<Decision, ExplainError> {
        let src = Ipv4Addr::from(addr);
        let Some(entry) = entry else {
            return Ok(Decision::new(
                "source",
                format!("{src} is in no [[snat]]: no client, but outside or the host"),
                "map SOURCES",
            ));
        };
        let prefix = self.view.tables.source_prefix(addr)?.unwrap_or_default();
        Ok(Decision::new(
            "source",
            format!(
                "{src} is a client: [[snat]] {}, {prefix}",
                self.names.entry(entry)
            ),
            self.names.file.source(prefix),
        ))
    }

    fn bypass(&self, addr: Addr, is_in: bool) -> Result<Decision, ExplainError> {
        let dst = Ipv4Addr::from(addr);
        if !is_in {
            let detail = format!("{dst} is in no [[bypass]]");
            return Ok(Decision::new("bypass", detail, "map BYPASS"));
        }
        let prefix = self.view.tables.bypass_prefix(addr)?.unwrap_or_default();
        Ok(Decision::new(
            "bypass",
            format!("{dst} is in [[bypass]] {prefix}: routed, never translated"),
            self.names.file.bypass(prefix),
        ))
    }

    fn route(&self, query: &RouteQuery, route: &Route) -> Decision {
        let (detail, rests_on) = self.names.route(query, self.ingress, route);
        Decision::new("route", detail, rests_on)
    }

    /// The mapping of an external endpoint.
    fn mapping(&self, external: (Addr, u16), found: Option<&SeenMapping>) -> Decision {
        let (addr, port) = external;
        let external = endpoint(addr, port);
        let Some(mapping) = found else {
            return Decision::new(
                "mapping",
                format!("{external} is no client's port"),
                "map MAPPINGS",
            );
        };
        let target = endpoint(mapping.target.0, mapping.target.1);
        if mapping.is_static {
            let endpoint = std::net::SocketAddrV4::new(addr.into(), port);
            return Decision::new(
                "mapping",
                format!("{external} is forwarded to {target}"),
                self.names.file.forward(endpoint),
            );
        }
        let detail = match mapping.holders {
            None => format!("{external} was {target}'s and is being given back"),
            Some(0) => format!("{external} was {target}'s; it rests and leads nowhere"),
            Some(flows) => format!(
                "{external} is {target}'s own, for {flows} flows; filtering {}",
                filtering(mapping.filtering)
            ),
        };
        Decision::new("mapping", detail, "map MAPPINGS")
    }
}

/// One of our own addresses, as source or destination.
fn external(addr: Addr, sets: u32, verdict: Verdict) -> Decision {
    let addr = Ipv4Addr::from(addr);
    let detail = match (verdict, sets) {
        (Verdict::SpoofedSource | Verdict::Martian, _) => {
            format!("{addr} is one of the gateway's own addresses")
        }
        (_, 0) => format!("{addr} is the gateway's own, and nothing is translated to it"),
        _ => format!("{addr} is an external address"),
    };
    Decision::new("destination", detail, "map EXTERNALS")
}
