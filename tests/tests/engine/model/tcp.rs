//! RFC 6146 §3.5.2 in a few lines: what a NAT remembers of a connection.

use snat_common::State;

/// What of a segment counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    Syn,
    SynAck,
    Fin,
    Rst,
    Plain,
}

impl Segment {
    pub(super) const ALL: [Self; 5] = [Self::Syn, Self::SynAck, Self::Fin, Self::Rst, Self::Plain];

    /// Its flags, as [`crate::frames::Frame::tcp`] takes them.
    pub(super) fn flags(self) -> &'static str {
        match self {
            Self::Syn => "S",
            Self::SynAck => "SA",
            Self::Fin => "FA",
            Self::Rst => "R",
            Self::Plain => "PA",
        }
    }
}

/// The state behind a segment.
pub(super) fn after(state: State, inside: bool, segment: Segment) -> State {
    use Segment::{Fin, Rst, Syn, SynAck};
    let opening = matches!(state, State::TcpSynSent | State::TcpSynReceived);
    if segment == Rst && !opening {
        return State::TcpReset;
    }
    let syn = matches!(segment, Syn | SynAck);
    match state {
        State::TcpSynSent if syn && !inside => State::TcpEstablished,
        State::TcpSynReceived if syn && inside => State::TcpEstablished,
        State::TcpEstablished if segment == Fin && inside => State::TcpFinOut,
        State::TcpEstablished if segment == Fin => State::TcpFinIn,
        State::TcpFinOut if segment == Fin && !inside => State::TcpClosing,
        State::TcpFinIn if segment == Fin && inside => State::TcpClosing,
        // Either begins anew.
        State::TcpClosing if syn && !inside => State::TcpSynReceived,
        State::TcpClosing | State::TcpReset if syn && inside => State::TcpSynSent,
        // RFC 7857 §2.2: the RST was not the end.
        State::TcpReset => State::TcpEstablished,
        state => state,
    }
}
