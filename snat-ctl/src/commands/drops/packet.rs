//! A dropped packet as people and programs read it.

use std::{fmt, net::Ipv4Addr, time::SystemTime};

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};
use serde::{Serialize, Serializer};
use snat_common::{Verdict, report::Dropped};

use crate::explain::{flag_names, protocol_name};

/// Where a TCP header has its flags.
const FLAGS_AT: usize = 13;

/// What is known of it; the JSON form's names are part of the contract. What its bytes don't say is null.
#[derive(Debug, Serialize)]
pub(super) struct Packet<'a> {
    /// When, in UTC.
    #[serde(serialize_with = "rfc3339")]
    pub(super) time: SystemTime,
    /// The interface it came in by, or was leaving by.
    pub(super) interface: &'a str,
    /// `in` or `out`.
    pub(super) direction: &'static str,
    /// `tcp`, `udp`, `icmp`, …; of others the number.
    protocol: Option<String>,
    source: Option<Ipv4Addr>,
    source_port: Option<u16>,
    destination: Option<Ipv4Addr>,
    destination_port: Option<u16>,
    icmp_type: Option<u8>,
    icmp_code: Option<u8>,
    /// As `["syn", "ack"]`.
    tcp_flags: Option<Vec<&'static str>>,
    /// In bytes, of what is behind the first fragment.
    fragment_offset: Option<u16>,
    /// Of the frame, in bytes.
    length: u32,
    pub(super) reason: &'static str,
    meaning: &'static str,
}

impl<'a> Packet<'a> {
    /// Reads it.
    pub(super) fn read(
        dropped: &Dropped,
        verdict: Verdict,
        time: SystemTime,
        interface: &'a str,
    ) -> Self {
        let mut packet = Self {
            time,
            interface,
            direction: if dropped.egress == 0 { "in" } else { "out" },
            protocol: None,
            source: None,
            source_port: None,
            destination: None,
            destination_port: None,
            icmp_type: None,
            icmp_code: None,
            tcp_flags: None,
            fragment_offset: None,
            length: dropped.len,
            reason: verdict.name(),
            meaning: verdict.describe().trim(),
        };
        let Ok(sliced) = LaxSlicedPacket::from_ethernet(captured(dropped)) else {
            return packet;
        };
        if let Some(LaxNetSlice::Ipv4(ip)) = &sliced.net {
            let header = ip.header();
            packet.source = Some(header.source_addr());
            packet.destination = Some(header.destination_addr());
            packet.protocol = Some(protocol_name(header.protocol().0));
            let offset = header.fragments_offset().byte_offset();
            packet.fragment_offset = (offset > 0).then_some(offset);
        }
        if let Some(transport) = &sliced.transport {
            packet.read_transport(transport);
        }
        packet
    }

    fn read_transport(&mut self, transport: &TransportSlice<'_>) {
        match transport {
            TransportSlice::Tcp(tcp) => {
                self.ports(tcp.source_port(), tcp.destination_port());
                self.tcp_flags = Some(flag_names(tcp.slice()[FLAGS_AT]));
            }
            TransportSlice::Udp(udp) => self.ports(udp.source_port(), udp.destination_port()),
            TransportSlice::Icmpv4(icmp) => {
                self.icmp_type = Some(icmp.type_u8());
                self.icmp_code = Some(icmp.code_u8());
            }
            _ => {}
        }
    }

    fn ports(&mut self, source: u16, destination: u16) {
        self.source_port = Some(source);
        self.destination_port = Some(destination);
    }
}

/// `TIME INTERFACE in PROTO SOURCE -> DESTINATION LENGTH WHAT REASON: MEANING`.
impl fmt::Display for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = humantime::format_rfc3339_micros(self.time);
        let protocol = self.protocol.as_deref().unwrap_or("?");
        let from = endpoint(self.source, self.source_port);
        let to = endpoint(self.destination, self.destination_port);
        let Self {
            interface,
            direction,
            length,
            reason,
            meaning,
            ..
        } = self;
        write!(
            f,
            "{time} {interface} {direction} {protocol} {from} -> {to} {length} bytes"
        )?;
        if let Some(flags) = &self.tcp_flags {
            write!(f, " [{}]", flags.join(" "))?;
        }
        if let (Some(kind), Some(code)) = (self.icmp_type, self.icmp_code) {
            write!(f, " [type {kind} code {code}]")?;
        }
        if let Some(offset) = self.fragment_offset {
            write!(f, " [fragment at {offset}]")?;
        }
        write!(f, " {reason}: {meaning}")
    }
}

/// What there is of its bytes.
pub(super) fn captured(dropped: &Dropped) -> &[u8] {
    let len = dropped.bytes.len().min(dropped.captured as usize);
    &dropped.bytes[..len]
}

fn endpoint(addr: Option<Ipv4Addr>, port: Option<u16>) -> String {
    match (addr, port) {
        (None, _) => "?".to_owned(),
        (Some(addr), None) => addr.to_string(),
        (Some(addr), Some(port)) => format!("{addr}:{port}"),
    }
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_nanos(*time))
}
