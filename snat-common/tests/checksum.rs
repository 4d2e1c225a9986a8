//! Incremental checksums against sums of the whole packet (RFC 1071), and over every 16-bit value.

use proptest::prelude::*;
use snat_common::checksum::{
    TTL_DELTA, addr_delta, adjust, adjust_udp, fold, header_sum, port_delta, word_delta,
};

/// The checksum of RFC 1071 as its text has it: words in network order, an odd byte padded.
fn whole(bytes: &[u8]) -> u16 {
    let sum: u64 = bytes
        .chunks(2)
        .map(|word| u64::from(word[0]) << 8 | u64::from(*word.get(1).unwrap_or(&0)))
        .sum();
    !one(sum)
}

/// A sum in one's-complement arithmetic: modulo 65,535, and zero only if nothing was added.
fn one(sum: u64) -> u16 {
    match sum % 0xffff {
        0 if sum != 0 => 0xffff,
        rest => rest as u16,
    }
}

/// Deltas that matter and many that are as good as any.
fn deltas() -> impl Iterator<Item = u32> {
    let edges = [0, 1, 2, 0x7fff, 0x8000, 0xfffe, 0xffff, 0x1_0000, 0x1_fffe];
    let mut word = 0x9e37_79b9_u32;
    edges.into_iter().chain((0..40).map(move |_| {
        word = word.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
        // The sum of two deltas, as a translation has.
        (word >> 16) + (word & 0xffff)
    }))
}

#[test]
fn folding_is_addition_modulo_65535() {
    for low in (0..=0xffff).step_by(7) {
        for high in [0, 1, 2, 0x7fff, 0x8000, 0xfffe, 0xffff] {
            let sum = high << 16 | low;
            assert_eq!(fold(sum), one(u64::from(sum)), "{sum:#x}");
        }
    }
}

#[test]
fn every_checksum_is_adjusted_as_one_s_complement_demands() {
    for delta in deltas() {
        for old in 0..=u16::MAX {
            let expected = !one(u64::from(!old) + u64::from(delta));
            assert_eq!(adjust(old, delta), expected, "{old:#06x} + {delta:#x}");
        }
    }
}

#[test]
fn udp_keeps_no_checksum_and_never_makes_none() {
    let mut would_be_zero = 0;
    for delta in deltas() {
        assert_eq!(adjust_udp(0, delta), 0, "no checksum must stay none");
        for old in 1..=u16::MAX {
            let plain = adjust(old, delta);
            let expected = if plain == 0 { 0xffff } else { plain };
            would_be_zero += u32::from(plain == 0);
            assert_eq!(adjust_udp(old, delta), expected, "{old:#06x} + {delta:#x}");
        }
    }
    assert!(would_be_zero > 0, "the rule was never needed");
}

#[test]
fn one_ttl_less_fits_every_header() {
    for ttl in 1..=u8::MAX {
        for protocol in 0..=u8::MAX {
            let mut header = [0; 20];
            header[..12].copy_from_slice(&[0x45, 3, 0, 99, 7, 8, 0x40, 0, ttl, protocol, 0, 0]);
            let old = whole(&header);
            header[8] -= 1;
            let new = adjust(old.to_be(), u32::from(TTL_DELTA));
            assert_eq!(
                new,
                whole(&header).to_be(),
                "ttl {ttl}, protocol {protocol}"
            );
        }
    }
}

proptest! {
    #[test]
    fn a_changed_word_anywhere_equals_a_recomputation(
        mut packet in proptest::collection::vec(any::<u8>(), 4..1501),
        at: prop::sample::Index,
        new: u16,
    ) {
        let at = at.index(packet.len() / 2) * 2;
        // A packet of zeros only has no valid checksum to start from.
        packet.push(0x45);
        let before = whole(&packet);
        let old = u16::from_ne_bytes([packet[at], packet[at + 1]]);
        packet[at..at + 2].copy_from_slice(&new.to_ne_bytes());
        let adjusted = adjust(before.to_be(), u32::from(word_delta(old, new)));
        prop_assert_eq!(adjusted, whole(&packet).to_be());
    }

    #[test]
    fn a_new_address_and_port_equal_a_recomputation(
        old: [u8; 4], new: [u8; 4], old_port: u16, new_port: u16,
        payload in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        // Pseudo header, ports, and any number of bytes behind, odd ones too.
        let segment = |addr: [u8; 4], port: u16| {
            [&addr[..], &[203, 0, 113, 9, 0, 6, 0, 20], &port.to_be_bytes(), &payload].concat()
        };
        let before = whole(&segment(old, old_port));
        let delta = u32::from(addr_delta(old, new)) + u32::from(port_delta(old_port, new_port));
        prop_assert_eq!(
            adjust(before.to_be(), delta),
            whole(&segment(new, new_port)).to_be()
        );
    }

    #[test]
    fn a_translation_and_its_reverse_cancel_out(
        old: [u8; 4], new: [u8; 4], old_port: u16, new_port: u16, checksum in 1..0xffff_u16,
    ) {
        let there = u32::from(addr_delta(old, new)) + u32::from(port_delta(old_port, new_port));
        let back = u32::from(addr_delta(new, old)) + u32::from(port_delta(new_port, old_port));
        prop_assert_eq!(adjust(adjust(checksum, there), back), checksum);
    }

    #[test]
    fn a_header_s_sum_is_that_of_its_words(header: [u8; 20]) {
        prop_assert_eq!(fold(header_sum(&header)), (!whole(&header)).to_be());
    }
}
