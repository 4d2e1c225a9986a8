//! TCP's states against a table written by hand from RFC 6146 §3.5.2 and RFC 7857 §2.

use snat_common::{State, tcp};

const STATES: [(char, State); 7] = [
    ('S', State::TcpSynSent),
    ('E', State::TcpEstablished),
    ('O', State::TcpFinOut),
    ('I', State::TcpFinIn),
    ('C', State::TcpClosing),
    ('R', State::TcpReset),
    ('V', State::TcpSynReceived),
];

/// State, then what each segment from the client makes of it, then each one from the server.
///
/// - `S` waits for the server's SYN alone: nothing else of the server proves that it answered. `V`, opened from
///   outside, waits for the client's.
/// - `O` and `I` wait for the other FIN; with both, `C` is left only for an RST or a new SYN.
/// - `R` comes back to life with any segment that is no RST: it may have been forged.
#[rustfmt::skip]
const TABLE: [(char, [char; 4], [char; 4]); 7] = [
    //     data SYN  FIN  RST    data SYN  FIN  RST
    ('S', ['S', 'S', 'S', 'S'], ['S', 'E', 'S', 'S']),
    ('V', ['V', 'E', 'V', 'V'], ['V', 'V', 'V', 'V']),
    ('E', ['E', 'E', 'O', 'R'], ['E', 'E', 'I', 'R']),
    ('O', ['O', 'O', 'O', 'R'], ['O', 'O', 'C', 'R']),
    ('I', ['I', 'I', 'C', 'R'], ['I', 'I', 'I', 'R']),
    ('C', ['C', 'S', 'C', 'R'], ['C', 'V', 'C', 'R']),
    ('R', ['E', 'S', 'E', 'R'], ['E', 'E', 'E', 'R']),
];

fn number(letter: char) -> u8 {
    let found = STATES.iter().find(|(known, _)| *known == letter);
    found.expect("a letter of the table").1 as u8
}

/// RST is stronger than FIN, FIN than SYN: the column of the table.
fn column(flags: u8) -> usize {
    match flags {
        _ if flags & tcp::RST != 0 => 3,
        _ if flags & tcp::FIN != 0 => 2,
        _ if flags & tcp::SYN != 0 => 1,
        _ => 0,
    }
}

#[test]
fn every_state_and_every_flag_byte_goes_where_the_table_says() {
    for (from, out, inward) in TABLE {
        for flags in 0..=u8::MAX {
            for (inbound, row) in [(false, out), (true, inward)] {
                let to = number(row[column(flags)]);
                assert_eq!(
                    tcp::next(number(from), inbound, flags),
                    to,
                    "{from}, inbound {inbound}, flags {flags:#010b}"
                );
            }
        }
    }
}

#[test]
fn segments_skipped_by_the_fast_path_change_nothing() {
    for (_, state) in STATES {
        for flags in 0..=u8::MAX {
            for inbound in [false, true] {
                let next = tcp::next(state as u8, inbound, flags);
                assert!(
                    tcp::may_change(state as u8, flags) || next == state as u8,
                    "{state:?} -> {next}, flags {flags:#010b}"
                );
            }
        }
    }
}

#[test]
fn data_of_an_open_connection_takes_the_fast_path() {
    assert!(!tcp::may_change(State::TcpEstablished as u8, tcp::ACK));
}

#[test]
fn a_closed_connection_is_not_kept_by_its_last_acks() {
    let closing = State::TcpClosing as u8;
    for flags in [tcp::ACK, tcp::FIN | tcp::ACK] {
        for inbound in [false, true] {
            assert_eq!(tcp::next(closing, inbound, flags), closing);
        }
    }
}

#[test]
fn flags_mean_nothing_to_other_protocols() {
    for state in [State::IcmpEcho, State::Udp] {
        for flags in 0..=u8::MAX {
            for inbound in [false, true] {
                assert_eq!(tcp::next(state as u8, inbound, flags), state as u8);
            }
        }
    }
}
