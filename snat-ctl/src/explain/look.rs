//! Asks the kernel for routes and sockets, through the program that asks as the datapath does.

use aya::programs::{ProgramError, SchedClassifier, TestRun as _, TestRunOptions};
use snat_common::{
    FlowKey, Protocol, Route, RouteQuery,
    look::{ANSWER_AT, ANSWERED, Answer, Kind, QUESTION_AT, Question},
};

use crate::datapath::{Pins, bytes, value};

/// Bytes of `struct __sk_buff` up to and including `ifindex`, its eleventh word: what a run is told of the interface.
const CONTEXT: usize = 44;
/// The loopback interface: what a run stands on where it is told of none.
const LOOPBACK: u32 = 1;

/// The pinned program. It hears what the calling thread's network namespace says.
pub(super) struct Look(SchedClassifier);

impl Look {
    /// Opens it.
    pub(super) fn open(pins: &Pins) -> Result<Self, ProgramError> {
        SchedClassifier::from_pin(pins.look_program()).map(Self)
    }

    /// The FIB's answer, as for a packet that came in by `ingress`.
    pub(super) fn route(&self, ingress: u32, query: &RouteQuery) -> Result<Route, ProgramError> {
        let question = Question {
            src: query.src,
            dst: query.dst,
            src_port: query.ports.0,
            dst_port: query.ports.1,
            protocol: query.protocol,
            tos: query.tos,
            kind: Kind::Route as u8,
            zero: 0,
        };
        self.ask(ingress, &question).map(|answer| answer.route())
    }

    /// Whether a socket waits for such a packet, which came in by `ingress`.
    pub(super) fn has_socket(&self, ingress: u32, key: &FlowKey) -> Result<bool, ProgramError> {
        if !matches!(key.protocol, Protocol::Tcp | Protocol::Udp) {
            return Ok(false);
        }
        let question = Question {
            src: key.src,
            dst: key.dst,
            src_port: key.src_port,
            dst_port: key.dst_port,
            protocol: key.protocol as u8,
            tos: 0,
            kind: Kind::Socket as u8,
            zero: 0,
        };
        self.ask(ingress, &question).map(|answer| answer.kind != 0)
    }

    fn ask(&self, ingress: u32, question: &Question) -> Result<Answer, ProgramError> {
        let at = ANSWER_AT as usize;
        let mut frame = vec![0; at + size_of::<Answer>()];
        frame[QUESTION_AT as usize..at].copy_from_slice(bytes(question));
        let mut context = [0; CONTEXT];
        if ingress > LOOPBACK {
            context[CONTEXT - 4..].copy_from_slice(&ingress.to_ne_bytes());
        }
        let mut answered = vec![0; frame.len()];
        let mut options = TestRunOptions::new();
        options.data_in = Some(&frame);
        options.data_out = Some(&mut answered);
        options.ctx_in = Some(&context);
        let result = self.0.test_run(options)?;
        if result.return_value != ANSWERED {
            let reason = "it did not answer";
            return Err(ProgramError::IOError(std::io::Error::other(reason)));
        }
        Ok(value(&answered[at..]))
    }
}
