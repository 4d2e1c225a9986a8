use etherparse::PacketBuilder;
use snat_common::load::{Load, Turn, WRITTEN};

use super::{Change, Sample, changed, verify};

const CHANGE: Change = Change {
    macs: [[2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 8]],
    hops: 1,
    external: Some([203, 0, 113, 10]),
};

/// Eight flows of four endpoints: 172.16.64.0 to .3, to two servers.
fn load(frame_len: usize) -> Load {
    let load = Load {
        flows: 8,
        endpoints: 4,
        ip_len: frame_len as u16 - 14,
        fragment: 0x4000,
        ..Load::default()
    };
    load.summed(&vec![0; frame_len - WRITTEN])
}

/// The packet of a flow as another implementation writes it, translated.
fn arrived(flow: u32, frame_len: usize, port: u16) -> Sample {
    let [dst, src] = CHANGE.macs;
    let server = [198, 18, 0, (flow / 4) as u8];
    let mut payload = vec![0; frame_len - 42];
    payload[..4].copy_from_slice(&flow.to_be_bytes());
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(src, dst)
        .ipv4(CHANGE.external.unwrap(), server, 63)
        .udp(port, 4433)
        .write(&mut frame, &payload)
        .unwrap();
    frame[..60].try_into().unwrap()
}

fn error(samples: &[Sample]) -> String {
    let error = verify(samples, &load(60), &CHANGE).expect_err("it is wrong");
    format!("{error:#}")
}

#[test]
fn a_right_translation_is_right_at_any_length() {
    for frame_len in [60, 1514] {
        let samples = [3, 4].map(|flow| arrived(flow, frame_len, 2000));
        let mut seen = verify(&samples, &load(frame_len), &CHANGE).unwrap();
        seen.sort_by_key(|seen| seen.server);
        assert_eq!(seen.len(), 2);
        assert_eq!(
            (seen[0].client, seen[0].port, seen[0].server),
            ([172, 16, 64, 3], 1024 + 3 * 63, [198, 18, 0, 0])
        );
        assert_eq!(seen[1].client, [172, 16, 64, 0]);
        assert_eq!(seen[1].external_port, 2000);
    }
}

#[test]
fn every_wrong_byte_is_found() {
    let right = arrived(5, 60, 2000);
    for at in 0..right.len() {
        let mut sample = right;
        sample[at] ^= 1;
        error(&[sample]);
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (at, name) in [
        (0, "link-layer addresses"),
        (22, "TTL"),
        (24, "IP checksum"),
        (26, "source"),
        (33, "destination"),
        (40, "UDP checksum"),
        (59, "payload"),
    ] {
        let mut sample = arrived(5, 60, 2000);
        sample[at] ^= 1;
        let error = error(&[sample]);
        assert!(error.contains(&format!("wrong: {name}")), "{at}: {error}");
    }
}

#[test]
fn an_untranslated_packet_is_wrong() {
    let load = load(60);
    let sent = load.frame(&Turn::default());
    let untranslated = Change {
        external: None,
        ..CHANGE
    };
    let sample = changed(&sent, &untranslated, 0);
    assert!(error(&[sample]).contains("IP checksum, source"));
    verify(&[sample], &load, &untranslated).unwrap();
}

#[test]
fn an_external_port_below_1024_is_wrong() {
    assert!(error(&[arrived(5, 60, 1023)]).contains("below 1024"));
}

#[test]
fn a_flow_with_two_ports_and_two_flows_with_one_are_wrong() {
    let twice = [arrived(5, 60, 2000), arrived(5, 60, 2001)];
    assert!(error(&twice).contains("flow 5 has two external ports"));
    let shared = [arrived(1, 60, 2000), arrived(2, 60, 2000)];
    assert!(error(&shared).contains("flows 1 and 2 to the same server"));
}

#[test]
fn a_flow_that_was_not_sent_is_wrong() {
    assert!(error(&[arrived(8, 60, 2000)]).contains("no such flow"));
}
