//! TCP as far as a NAT follows it (RFC 6146 §3.5.2, RFC 7857 §2): how long may this flow be idle?

use crate::flow::{Direction, State};

/// FIN flag.
pub const FIN: u8 = 0x01;
/// SYN flag.
pub const SYN: u8 = 0x02;
/// RST flag.
pub const RST: u8 = 0x04;
/// ACK flag.
pub const ACK: u8 = 0x10;

/// Whether a segment may change the state `state` (a [`State`]'s number): the rest is the fast path.
#[inline(always)]
#[must_use]
pub const fn may_change(state: u8, flags: u8) -> bool {
    state != State::TcpEstablished as u8 || flags & (SYN | FIN | RST) != 0
}

/// The number of the state after a segment of a live flow whose state has number `state`.
///
/// A table instead of branches: the kernel's verifier walks every branch in every caller.
#[inline(always)]
#[must_use]
pub fn next(state: u8, inbound: bool, flags: u8) -> u8 {
    let segment = Segment::of(flags) as usize;
    NEXT[usize::from(state & 15)][usize::from(inbound)][segment & 3]
}

/// What of a segment's flags matters.
#[repr(u8)]
#[derive(Clone, Copy)]
enum Segment {
    Plain = 0,
    Syn = 1,
    Fin = 2,
    Rst = 3,
}

impl Segment {
    #[inline(always)]
    const fn of(flags: u8) -> Self {
        if flags & RST != 0 {
            Self::Rst
        } else if flags & FIN != 0 {
            Self::Fin
        } else if flags & SYN != 0 {
            Self::Syn
        } else {
            Self::Plain
        }
    }
}

/// One row for each number that four bits can be.
const ROWS: usize = 16;
static NEXT: [[[u8; 4]; 2]; ROWS] = table();

const fn table() -> [[[u8; 4]; 2]; ROWS] {
    let segments = [Segment::Plain, Segment::Syn, Segment::Fin, Segment::Rst];
    let mut table = [[[0; 4]; 2]; ROWS];
    let mut state = 0;
    while state < ROWS {
        let mut i = 0;
        while i < 4 {
            table[state][0][i] =
                transition(state_of(state as u8), Direction::Out, segments[i]) as u8;
            table[state][1][i] =
                transition(state_of(state as u8), Direction::In, segments[i]) as u8;
            i += 1;
        }
        state += 1;
    }
    table
}

/// - Both FINs put the flow under the closing timeout for good; a new SYN from inside begins a new
///   connection on the same mapping.
/// - After an RST the mapping lives on for the closing timeout, and any other segment revives it
///   (RFC 7857 §2.2): the RST may have been forged.
const fn transition(state: State, direction: Direction, segment: Segment) -> State {
    use Direction::{In, Out};
    use State::{
        Dead, Ended, IcmpEcho, Other, TcpClosing, TcpEstablished, TcpFinIn, TcpFinOut, TcpReset,
        TcpSynReceived, TcpSynSent, Udp,
    };
    match (state, direction, segment) {
        (IcmpEcho | Udp | Other | Ended | Dead, _, _) => state,
        // What one side alone says does not make a connection (RFC 6146 §3.5.2.2): not an RST either, which
        // the next segment would revive.
        (TcpSynSent, In, Segment::Syn) | (TcpSynReceived, Out, Segment::Syn) => TcpEstablished,
        (TcpSynSent, _, _) => TcpSynSent,
        (TcpSynReceived, _, _) => TcpSynReceived,
        (_, _, Segment::Rst) => TcpReset,
        (TcpClosing, In, Segment::Syn) => TcpSynReceived,
        (TcpClosing | TcpReset, Out, Segment::Syn) => TcpSynSent,
        (TcpEstablished, Out, Segment::Fin) => TcpFinOut,
        (TcpEstablished, In, Segment::Fin) => TcpFinIn,
        (TcpFinOut, In, Segment::Fin) | (TcpFinIn, Out, Segment::Fin) => TcpClosing,
        (TcpReset, _, _) => TcpEstablished,
        (TcpEstablished | TcpFinOut | TcpFinIn | TcpClosing, _, _) => state,
    }
}

/// The state whose number this is; [`State::Dead`] for anything that is none.
#[inline(always)]
#[must_use]
const fn state_of(number: u8) -> State {
    match number {
        0 => State::IcmpEcho,
        1 => State::Udp,
        2 => State::TcpSynSent,
        3 => State::TcpEstablished,
        4 => State::TcpFinOut,
        5 => State::TcpFinIn,
        6 => State::TcpClosing,
        7 => State::TcpReset,
        8 => State::TcpSynReceived,
        9 => State::Other,
        10 => State::Ended,
        _ => State::Dead,
    }
}
