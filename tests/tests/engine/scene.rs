//! Short words for the tests on the host: who sends what, and what became of it.

use snat_common::{Addr, FlowKey, Protocol, State, Verdict, life::GRACE};

use crate::{
    frames::{Endpoint, Frame, ingress},
    host::{Hook, Host},
    world::{EXTERNAL, WAN},
};

/// What became of a frame.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) verdict: Verdict,
    pub(crate) bytes: Vec<u8>,
}

impl Seen {
    /// Source address and port as they are in the frame now.
    pub(crate) fn source(&self) -> Endpoint {
        let addr = self.bytes[26..30].try_into().expect("an IPv4 header");
        (addr, u16::from_be_bytes([self.bytes[34], self.bytes[35]]))
    }

    /// The external port it left from.
    pub(crate) fn port(&self) -> u16 {
        assert_eq!(self.verdict, Verdict::TranslatedOut);
        self.source().1
    }
}

impl Host {
    /// A client sends it; TC sees it.
    pub(crate) fn client(&mut self, frame: &Frame) -> Seen {
        let frame = frame.clone().by_client();
        let ingress = ingress(frame.ip.source);
        self.seen(ingress, &frame)
    }

    /// The Internet sends it; TC sees it.
    pub(crate) fn internet(&mut self, frame: &Frame) -> Seen {
        self.seen(WAN, &frame.clone().by_internet())
    }

    fn seen(&mut self, ingress: u32, frame: &Frame) -> Seen {
        let (outcome, bytes) = self.run(Hook::Tc, ingress, &frame.bytes());
        let verdict = outcome.verdict;
        Seen { verdict, bytes }
    }

    /// Lets as much time pass as a flow in this state may be idle.
    pub(crate) fn idle(&mut self, state: State) {
        self.later(self.contents.settings.timeouts[state as usize]);
    }

    /// As [`Host::idle`], until the flow may be removed.
    pub(crate) fn idle_and_grace(&mut self, state: State) {
        self.idle(state);
        self.later(GRACE + 1);
    }

    /// Lets time pass.
    pub(crate) fn later(&mut self, ticks: u32) {
        self.clock = self.clock.wrapping_add(ticks);
    }

    /// The state of the flow whose external end this is, as its authority has it.
    pub(crate) fn state(&self, in_key: &FlowKey) -> Option<State> {
        let mut entries = self.entries().into_iter();
        entries
            .find(|(key, _)| key == in_key)
            .map(|(_, entry)| entry.state)
    }
}

/// The key of the `In` entry of a flow.
pub(crate) fn in_key(protocol: Protocol, server: Endpoint, external_port: u16) -> FlowKey {
    key(protocol, server, (EXTERNAL, external_port))
}

/// A flow's key.
pub(crate) fn key(protocol: Protocol, src: Endpoint, dst: Endpoint) -> FlowKey {
    FlowKey {
        src: src.0,
        dst: dst.0,
        src_port: src.1,
        dst_port: dst.1,
        protocol,
        number: 0,
        zero: [0; 2],
    }
}

/// The `nth` of many servers.
pub(crate) fn server(nth: u8) -> Addr {
    [192, 0, 2, nth]
}

/// Makes the IP header's checksum right where the frame has a whole header, of whatever length it says.
pub(crate) fn repair_header(frame: &mut [u8]) {
    let Some(first) = frame.get(14) else {
        return;
    };
    let len = usize::from((first & 15).max(5)) * 4;
    let Some(header) = frame.get_mut(14..14 + len) else {
        return;
    };
    header[10..12].fill(0);
    let sum: u32 = header
        .chunks(2)
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    header[10..12].copy_from_slice(&(!folded as u16).to_be_bytes());
}
