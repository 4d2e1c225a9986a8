//! Segments with more in them than a NAT knows, and segments that no connection has.

use anyhow::{Result, ensure};
use snat_tests::{
    scene::Plan,
    segment::{ACK, FIN, PSH, RST, SYN, Segment, URG},
    topology::Shape,
};

use crate::wire::{SOON, Wire, endpoints};

const ECE: u8 = 0x40;
const CWR: u8 = 0x80;

/// Name, flags, reserved bits, options, data.
type Odd<'a> = (&'a str, u8, u8, &'a [u8], &'a [u8]);

#[test]
fn options_ecn_bits_and_data_in_a_syn_arrive_untouched_xdp() -> Result<()> {
    untouched("xdp")
}

#[test]
fn options_ecn_bits_and_data_in_a_syn_arrive_untouched_tc() -> Result<()> {
    untouched("tc")
}

fn untouched(datapath: &str) -> Result<()> {
    let wire = Wire::start(&Plan::routed(datapath))?;
    let tfo = [34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1];
    let mptcp = [30, 12, 0x01, 0x81, 1, 2, 3, 4, 5, 6, 7, 8];
    let usual = [
        2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7,
    ];
    // RFC 6994's experiments, and a kind that nobody has given out.
    let unknown = [253, 6, 0xf9, 0x89, 1, 2, 99, 2];
    let cases: [Odd<'_>; 7] = [
        ("the usual", SYN, 0, &usual, b""),
        (
            "fast open with data",
            SYN,
            0,
            &tfo,
            b"GET / HTTP/1.0\r\n\r\n!",
        ),
        ("ECN", SYN | ECE | CWR, 0, &usual, b""),
        ("accurate ECN", SYN | ECE | CWR, 1, &usual, b""),
        ("multipath", SYN, 0, &mptcp, b""),
        ("unknown options", SYN, 0, &unknown, b"odd"),
        (
            "reserved bits and PSH, URG",
            SYN | PSH | URG,
            0xe,
            &[],
            b"x",
        ),
    ];
    for (number, (name, flags, reserved, options, data)) in (0..).zip(cases) {
        let (client, server) = wire.ends(number);
        let mut segment = Segment::new(client, server, flags);
        segment.reserved = reserved;
        segment.options = options.to_vec();
        segment.data = data.to_vec();
        let sent = segment.packet();
        wire.from_client.send(&sent)?;
        let heard = wire.outside.next(name, SOON, |heard| {
            endpoints(heard)
                .is_some_and(|(_, dst)| dst == server)
                .then(|| heard.clone())
        })?;
        heard.expect_sound()?;
        let without = |payload: &[u8]| {
            let mut payload = payload.to_vec();
            payload[..2].fill(0);
            payload[16..18].fill(0);
            payload
        };
        let (sent, heard) = (without(&sent.payload), without(heard.payload()));
        ensure!(sent == heard, "{name}: {sent:02x?} became {heard:02x?}");
    }
    Ok(())
}

#[test]
fn segments_that_begin_no_connection_never_leave_xdp() -> Result<()> {
    never_leave("xdp", Shape::OneArm)
}

#[test]
fn segments_that_begin_no_connection_never_leave_tc() -> Result<()> {
    never_leave("tc", Shape::Routed)
}

fn never_leave(datapath: &str, shape: Shape) -> Result<()> {
    let wire = Wire::start(&Plan {
        shape,
        ..Plan::routed(datapath)
    })?;
    let all = FIN | SYN | RST | PSH | ACK | URG;
    let flags = [
        0,
        FIN,
        FIN | PSH | URG,
        FIN | SYN,
        SYN | RST,
        SYN | ACK,
        SYN | FIN | ACK,
        RST,
        RST | ACK,
        ACK,
        FIN | ACK,
        PSH | ACK,
        all,
        all | ECE | CWR,
        ECE | CWR,
    ];
    let leaves = |wire: &Wire| {
        wire.outside
            .all(|heard| (heard.protocol() == 6).then(|| heard.bytes.clone()))
    };
    for (number, flags) in (0..).zip(flags) {
        let (client, server) = wire.ends(number);
        let segment = Segment::new(client, server, flags).packet();
        wire.from_client.send(&segment)?;
    }
    wire.settle()?;
    let left = leaves(&wire)?;
    ensure!(left.is_empty(), "{left:02x?}");
    ensure!(
        wire.scene
            .gateway
            .flows()?
            .iter()
            .all(|flow| flow.protocol == "icmp")
    );
    let dropped = wire.scene.gateway.verdict("tcp_no_flow")?;
    ensure!(dropped == flags.len() as u64, "{dropped} were counted");
    Ok(())
}
