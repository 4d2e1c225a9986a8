//! Whether a packet's checksums are right, told by plain recomputation and nothing of the engine.

use std::net::Ipv4Addr;

/// What an IPv4 packet says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seen {
    /// IANA protocol number.
    pub protocol: u8,
    /// Source address.
    pub src: Ipv4Addr,
    /// Destination address.
    pub dst: Ipv4Addr,
}

/// Reads a packet that starts at its IPv4 header and verifies each checksum in it. `Err` is the fault.
pub(super) fn verify(packet: &[u8]) -> Result<Seen, String> {
    let [version_ihl, _, len_hi, len_lo, ..] = *packet else {
        return Err("shorter than an IPv4 header".into());
    };
    let header_len = usize::from(version_ihl & 15) * 4;
    let total_len = usize::from(u16::from_be_bytes([len_hi, len_lo]));
    if version_ihl >> 4 != 4
        || header_len < 20
        || total_len < header_len
        || packet.len() < total_len
    {
        return Err(format!(
            "lengths do not fit: header {header_len}, total {total_len}, got {}",
            packet.len()
        ));
    }
    let (header, payload) = packet[..total_len].split_at(header_len);
    let address =
        |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]);
    let seen = Seen {
        protocol: header[9],
        src: address(12),
        dst: address(16),
    };
    let fault = |what: &str| {
        Err(format!(
            "{what} checksum is wrong in protocol {} {} > {}, {total_len} bytes",
            seen.protocol, seen.src, seen.dst
        ))
    };

    if fold(sum(header)) != 0xffff {
        return fault("IPv4 header");
    }
    let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
    if fragment {
        return Ok(seen);
    }
    let pseudo = sum(&header[12..20]) + u64::from(seen.protocol) + payload.len() as u64;
    let right = match seen.protocol {
        1 => fold(sum(payload)) == 0xffff,
        6 => fold(pseudo + sum(payload)) == 0xffff,
        17 if payload.get(6..8) == Some(&[0, 0]) => true,
        17 => fold(pseudo + sum(payload)) == 0xffff,
        _ => true,
    };
    if right { Ok(seen) } else { fault("transport") }
}

fn sum(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(2);
    let total: u64 = words
        .by_ref()
        .map(|word| u64::from(u16::from_be_bytes([word[0], word[1]])))
        .sum();
    total
        + words
            .remainder()
            .first()
            .map_or(0, |&last| u64::from(last) << 8)
}

fn fold(mut sum: u64) -> u64 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DNS query to 192.0.2.1, checksums worked out by hand with RFC 1071.
    const UDP: [u8; 32] = [
        0x45, 0, 0, 32, 0, 1, 0, 0, 64, 17, 0xf6, 0xc8, 192, 0, 2, 2, 192, 0, 2, 1, // IPv4
        0x10, 0, 0, 53, 0, 12, 0x67, 0x97, 1, 2, 3, 4, // UDP
    ];

    #[test]
    fn a_right_packet_is_described() {
        let seen = verify(&UDP).unwrap();
        assert_eq!(
            seen,
            Seen {
                protocol: 17,
                src: [192, 0, 2, 2].into(),
                dst: [192, 0, 2, 1].into()
            }
        );
    }

    #[test]
    fn any_single_flipped_bit_under_a_checksum_is_found() {
        for bit in 0..UDP.len() * 8 {
            let mut packet = UDP;
            packet[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(&packet).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_udp_packet_without_a_checksum_is_right() {
        let mut packet = UDP;
        packet[26..28].fill(0);
        assert!(verify(&packet).is_ok());
    }

    #[test]
    fn cut_packets_are_faults_and_no_panics() {
        for len in 0..UDP.len() {
            assert!(verify(&UDP[..len]).is_err());
        }
    }
}
