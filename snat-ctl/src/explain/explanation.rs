//! What is told of a packet's way: the names that `--json` has.

use std::net::{Ipv4Addr, SocketAddrV4};

use serde::Serialize;
use snat_common::{Action, Verdict};

use super::{
    decisions::Decision,
    names::protocol_name,
    packet::{Asked, protocol},
    stack::Does,
};
use crate::advice::advice;

/// Of a packet that comes in where no program of ours is.
const NOT_SEEN: &str = "not_seen";

/// What would happen to a packet. The names are part of the contract.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The packet itself.
    pub packet: Told,
    /// What was left out and assumed, in sentences.
    pub assumed: Vec<String>,
    /// Each decision, in order.
    pub decisions: Vec<Decision>,
    /// Name of the last of `verdicts`, or `not_seen`.
    pub verdict: &'static str,
    /// `forwarded`, `passed`, `dropped` or `split`.
    pub action: &'static str,
    /// The verdict's meaning.
    pub meaning: &'static str,
    /// All counters that the packet would move, in order: two of a hairpinned one, or of one that the guard stops.
    pub verdicts: Vec<&'static str>,
    /// The flow's external endpoint.
    pub external: Option<Endpoint>,
    /// The packet's addresses and ports as it leaves.
    pub leaves_as: Option<Leaving>,
    /// Interface that it leaves by.
    pub egress: Option<String>,
    /// What the kernel's stack does with a packet that is passed to it.
    pub stack: Option<Does>,
    /// What the gateway tells the sender of a packet that it refuses.
    pub answer: Option<String>,
    /// What to do about it.
    pub advice: Option<&'static str>,
    #[serde(skip)]
    pub(super) reply: Option<Reply>,
}

/// A packet as it was asked about.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names of the contract")]
pub struct Told {
    pub protocol: String,
    pub src: Endpoint,
    pub dst: Endpoint,
    #[serde(rename = "in")]
    pub ingress: String,
    pub ttl: u8,
    pub size: u16,
    pub dont_fragment: bool,
    pub tcp_flags: Vec<&'static str>,
}

/// An address and a port, or echo identifier; 0 where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "as said")]
pub struct Endpoint {
    pub addr: Ipv4Addr,
    pub port: u16,
}

/// Both ends of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "source and destination")]
pub struct Leaving {
    pub src: Endpoint,
    pub dst: Endpoint,
}

/// The packet that would answer one that was explained.
#[derive(Clone, Copy, Debug)]
pub struct Reply {
    /// It.
    pub packet: Asked,
    /// Index of the interface that it would come in by.
    pub ingress: u32,
}

impl Explanation {
    /// Who would answer it, and where the answer would come in. `None`: it does not get through.
    #[must_use]
    pub fn reply(&self) -> Option<Reply> {
        self.reply
    }

    /// Of a packet about which nothing is known yet, in by the interface of that name.
    pub(super) fn blank(ingress: String, packet: &Asked) -> Self {
        let is_tcp = packet.protocol == protocol::TCP;
        Self {
            packet: Told {
                protocol: protocol_name(packet.protocol),
                src: packet.src.into(),
                dst: packet.dst.into(),
                ingress,
                ttl: packet.ttl,
                size: packet.size,
                dont_fragment: packet.dont_fragment,
                tcp_flags: flag_names(if is_tcp { packet.flags } else { 0 }),
            },
            assumed: Vec::new(),
            decisions: Vec::new(),
            verdict: NOT_SEEN,
            action: "passed",
            meaning: "It comes in by an interface that is none of the gateway's.",
            verdicts: Vec::new(),
            external: None,
            leaves_as: None,
            egress: None,
            stack: None,
            answer: None,
            advice: None,
            reply: None,
        }
    }

    /// Notes how it ended.
    pub(super) fn end(&mut self, verdict: Verdict) {
        self.verdict = verdict.name();
        self.verdicts.push(verdict.name());
        self.meaning = verdict.describe().trim();
        self.advice = advice(verdict);
        self.action = match verdict.action() {
            // One that would go round for a third time.
            Action::Again => Action::Drop.name(),
            action => action.name(),
        };
    }
}

impl From<SocketAddrV4> for Endpoint {
    fn from(endpoint: SocketAddrV4) -> Self {
        Self {
            addr: *endpoint.ip(),
            port: endpoint.port(),
        }
    }
}

/// Names of the TCP flags in a byte.
pub(crate) fn flag_names(flags: u8) -> Vec<&'static str> {
    let names = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"];
    let set = names.iter().enumerate();
    set.filter(|(bit, _)| flags >> bit & 1 == 1)
        .map(|(_, name)| *name)
        .collect()
}
