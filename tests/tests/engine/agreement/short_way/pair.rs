//! Two copies of one world: in one the short way comes first, in the other there is none.

use std::collections::HashMap;

use anyhow::{Result, ensure};
use snat_common::{
    Addr, FlowEntry, FlowKey, Packet, Protocol, State, Verdict, packet::OnWire, tcp,
};

use crate::{
    fib::Target,
    host::{Hook, Host},
    scene::key,
    world::{self, Change, UPSTREAM, WAN},
};

const MSS: u16 = 500;
/// Addresses that clients are translated to.
const POOL: Addr = [203, 0, 113, 20];
const BY_DEFAULT: Target = Target::Send {
    ifindex: WAN,
    via: Some(UPSTREAM),
    mtu: 1500,
    metric: 0,
};

pub(super) struct Pair {
    short: Host,
    engine: Host,
}

/// What became of a frame in both.
pub(super) struct Ran {
    /// The protocol of the packet, if the short way took it.
    pub(super) taken: Option<Protocol>,
    pub(super) verdict: Verdict,
    pub(super) frame: Vec<u8>,
}

impl Pair {
    /// With empty tables, a limit to the MSS, and a pool to which the default route leads, too.
    pub(super) fn new(change: Change) -> Self {
        let mut pair = Self {
            short: world::host_with(change),
            engine: world::host_with(change),
        };
        pair.each(|host| {
            host.contents.settings.mss = MSS;
            host.fib.routes.push((POOL, 30, BY_DEFAULT));
        });
        pair
    }

    /// Does the same to both.
    pub(super) fn each(&mut self, change: impl Fn(&mut Host)) {
        change(&mut self.short);
        change(&mut self.engine);
    }

    /// Gives both a frame, which was merged of packets with so many bytes each, and fails where they don't agree.
    pub(super) fn run(
        &mut self,
        hook: Hook,
        ingress: u32,
        frame: &[u8],
        segment: Option<u32>,
    ) -> Result<Ran> {
        let merged = || Merged {
            frame: frame.to_vec(),
            segment,
        };
        let (mut ours, mut theirs) = (merged(), merged());
        let short = if self.ends_after_a_reset(frame) {
            None
        } else {
            self.short.by_short_way(hook, ingress, &mut ours)
        };
        ensure!(
            short.is_some() || ours.frame == frame,
            "left, but not as it came"
        );
        let outcome = short.unwrap_or_else(|| self.short.by_engine(ingress, &mut ours));
        let expected = self.engine.by_engine(ingress, &mut theirs);
        let taken = short.is_some();
        ensure!(
            outcome == expected,
            "taken: {taken}, {outcome:?}, by the engine {expected:?}"
        );
        ensure!(
            ours.frame == theirs.frame,
            "taken: {taken}, {:02x?}\nby the engine {:02x?}",
            ours.frame,
            theirs.frame
        );
        let taken = short.map(|_| flow_key(frame));
        if let Some(key) = taken {
            let (entry, expected) = (self.short.flows.copy(&key), self.engine.flows.copy(&key));
            ensure!(entry == expected, "{entry:?}, by the engine {expected:?}");
        }
        Ok(Ran {
            taken: taken.map(|key| key.protocol),
            verdict: outcome.verdict,
            frame: ours.frame,
        })
    }

    /// A FIN of a flow that was reset, with which they need not agree: where the short way has settled its state before
    /// it leaves the packet, the engine settles it again, and of what the FIN has revived it is then the FIN.
    fn ends_after_a_reset(&self, frame: &[u8]) -> bool {
        let entry = |frame| self.engine.flows.copy(&flow_key(frame));
        let is_fin = frame.get(47).is_some_and(|flags| flags & tcp::FIN != 0);
        is_fin && entry(frame).is_some_and(|entry| entry.state == State::TcpReset)
    }

    /// Fails unless both have the same flows and have counted the same.
    pub(super) fn compare(&mut self) -> Result<()> {
        let flows =
            |host: &Host| -> HashMap<FlowKey, FlowEntry> { host.entries().into_iter().collect() };
        let (short, engine) = (flows(&self.short), flows(&self.engine));
        for (key, entry) in &engine {
            let ours = short.get(key);
            ensure!(
                ours == Some(entry),
                "{key:?}: {ours:?}, by the engine {entry:?}"
            );
        }
        ensure!(
            short.len() == engine.len(),
            "{} flows, by the engine {}",
            short.len(),
            engine.len()
        );
        ensure!(
            self.short.counters == self.engine.counters,
            "the counters differ"
        );
        ensure!(
            self.short.shared() == self.engine.shared(),
            "what all count together differs"
        );
        Ok(())
    }
}

/// Of a TCP segment or a UDP datagram whose IP header has no options.
fn flow_key(frame: &[u8]) -> FlowKey {
    let addr = |at: usize| [frame[at], frame[at + 1], frame[at + 2], frame[at + 3]];
    let port = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    let protocol = if frame[23] == 6 {
        Protocol::Tcp
    } else {
        Protocol::Udp
    };
    key(protocol, (addr(26), port(34)), (addr(30), port(36)))
}

/// A frame as a hook sees it that comes behind the merging of packets.
struct Merged {
    frame: Vec<u8>,
    /// Bytes of each behind the headers.
    segment: Option<u32>,
}

impl Packet for Merged {
    fn frame_len(&self) -> u32 {
        self.frame.len() as u32
    }

    fn window<const N: usize>(&self, offset: u32) -> Option<&[u8; N]> {
        self.frame.get(offset as usize..)?.first_chunk()
    }

    fn window_mut<const N: usize>(&mut self, offset: u32) -> Option<&mut [u8; N]> {
        self.frame.get_mut(offset as usize..)?.first_chunk_mut()
    }

    fn on_wire(&self, ip_len: u16, headers: u32) -> OnWire {
        let carried = u32::from(ip_len).saturating_sub(headers);
        let segment = self.segment.unwrap_or(carried);
        OnWire {
            packets: carried.div_ceil(segment.max(1)).max(1),
            largest: headers + carried.min(segment),
        }
    }
}
