//! MSS clamping.

use proptest::prelude::*;
use snat_common::{mss::clamp, parse::parse, tcp};

use crate::{env::World, frame::Frame};

/// The MSS that a SYN with these options has behind a way of that MTU.
fn clamped(world: &World, options: &[u8], hop_mtu: u16) -> Option<u16> {
    let mut frame = Frame::tcp(&[], [7, 0], tcp::SYN, options);
    let before = frame.bytes.clone();
    let parsed = parse(&frame).expect("sound");
    assert!(clamp(&mut frame, world, &parsed, hop_mtu));
    frame.expect_sound();
    // Nothing but the checksum and the number.
    let changed = |i: &usize| frame.bytes[*i] != before[*i];
    let at = options.windows(2).position(|kind| kind == [2, 4])?;
    let field = 54 + at + 2;
    let changes: Vec<_> = (0..before.len()).filter(changed).collect();
    assert!(
        changes
            .iter()
            .all(|i| [50, 51, field, field + 1].contains(i)),
        "{changes:?}"
    );
    Some(frame.be16(field))
}

const OFFER: [u8; 4] = [2, 4, 0x05, 0xb4];

#[test]
fn a_syn_offers_no_more_than_the_way_out_or_back_takes() {
    let mut world = World::new();
    assert_eq!(clamped(&world, &OFFER, 1500), Some(1460));
    assert_eq!(clamped(&world, &OFFER, 1400), Some(1360));
    world.interface.mtu = 1300;
    assert_eq!(clamped(&world, &OFFER, 1400), Some(1260));
    world.interface.mtu = 0;
    assert_eq!(clamped(&world, &OFFER, 9000), Some(1460));
}

#[test]
fn a_configured_value_lowers_and_never_raises() {
    let mut world = World::new();
    world.settings.mss = 1200;
    assert_eq!(clamped(&world, &OFFER, 9000), Some(1200));
    world.settings.mss = 1461;
    assert_eq!(clamped(&world, &OFFER, 576), Some(1460));
}

#[test]
fn a_syn_without_the_option_or_with_broken_ones_is_left_alone() {
    for options in [
        &[][..],
        &[1, 1, 4, 2],
        &[3, 3, 7, 0],
        // An end, a length of 0, of 1, one beyond the header; a wrong length for this option.
        &[0, 2, 4, 0xff, 0xff, 0, 0, 0],
        &[8, 0, 2, 4, 0xff, 0xff, 0, 0],
        &[8, 1, 2, 4, 0xff, 0xff, 0, 0],
        &[8, 9, 2, 4, 0xff, 0xff, 0, 0],
        &[2, 3, 0xff, 0],
        &[2, 5, 0xff, 0xff, 0xff, 0, 0, 0],
        &[1, 1, 1, 2],
        &[1, 1, 2, 4],
    ] {
        let mut frame = Frame::tcp(&[], [7, 0], tcp::SYN, options);
        let before = frame.bytes.clone();
        let parsed = parse(&frame).expect("sound");
        assert!(clamp(&mut frame, &World::new(), &parsed, 576));
        assert_eq!(frame.bytes, before, "{options:?}");
    }
}

proptest! {
    #[test]
    fn the_checksum_stays_right_wherever_the_option_is(
        before in 0_usize..36,
        mss: u16,
        mtu in 68_u16..,
    ) {
        let mut options = vec![1; before];
        options.extend([2, 4]);
        options.extend(mss.to_be_bytes());
        options.resize(options.len().next_multiple_of(4), 0);
        prop_assert_eq!(clamped(&World::new(), &options, mtu), Some(mss.min(mtu.min(1500) - 40)));
    }
}
