//! Packets at a pace: as many as they should be, and with right checksums.

use snat_common::load::{
    Load, Turn,
    pace::{BUCKETS, Pace, STAMPED, age, bucket, stamp},
};

/// How many packets are due, asked each `step` nanoseconds of a millisecond.
fn due(pace: &mut Pace, begin: u64, step: usize) -> usize {
    (begin..begin + 1_000_000)
        .step_by(step)
        .filter(|now| pace.is_due(*now))
        .count()
}

#[test]
fn a_pace_is_kept_over_time() {
    let mut pace = Pace::of(1_500_000);
    pace.is_due(1 << 40);
    let made = due(&mut pace, (1 << 40) + 1, 40);
    // What it makes up for at the beginning, too.
    assert!((1500..=1531).contains(&made), "{made}");
}

#[test]
fn who_was_away_does_not_make_up_for_all_of_it() {
    let mut pace = Pace::of(1_000_000);
    pace.is_due(1_000_000);
    let burst = (0..1000).filter(|_| pace.is_due(900_000_000)).count();
    assert!((20..=22).contains(&burst), "{burst}");
}

#[test]
fn a_stamped_datagram_has_a_right_checksum_and_tells_its_age() {
    let load = Load {
        ip_len: 46,
        ..Load::default()
    }
    .summed(&[0; 14]);
    for now in [0, 1, 0xffff, 0x1234_5678, u64::from(u32::MAX), 1 << 40] {
        let mut frame = [0; STAMPED];
        frame[..46].copy_from_slice(&load.frame(&Turn::default()));
        stamp(&mut frame, now);
        // Addresses, protocol, length twice, and the datagram: in all 0xffff.
        let words = frame[26..].chunks(2);
        let sum: u32 = words
            .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]))
            .sum();
        let sum = sum + 17 + 26;
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "{now:#x}");
        assert_eq!(age(&frame, now + 700), 700);
    }
}

#[test]
fn what_takes_too_long_is_in_the_last_bucket() {
    assert_eq!(
        [bucket(15), bucket(16), bucket(u32::MAX)],
        [0, 1, BUCKETS - 1]
    );
}
