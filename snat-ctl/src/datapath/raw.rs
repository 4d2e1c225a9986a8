//! Keys and entries of the flow table, byte by byte: nothing says that what is in a map makes valid enums.

use std::net::Ipv4Addr;

use snat_common::{Direction, FlowEntry, FlowKey};

/// Bytes of a key.
const KEY: usize = size_of::<FlowKey>();

/// A flow's key: of direction `Out` it says which flow it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RawKey([u8; KEY]);

impl RawKey {
    /// How many bytes.
    pub(super) const LEN: usize = KEY;

    /// Of a map's key.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// As they are in the map.
    pub(super) fn bytes(&self) -> [u8; KEY] {
        self.0
    }

    /// The key of the `In` entry that goes with this `Out` key, given what the client is translated to.
    pub(super) fn partner(&self, external: Ipv4Addr, port: u16) -> Self {
        let mut partner = self.0;
        partner[0..4].copy_from_slice(&self.0[4..8]);
        partner[4..8].copy_from_slice(&external.octets());
        partner[8..10].copy_from_slice(&self.0[10..12]);
        partner[10..12].copy_from_slice(&port.to_ne_bytes());
        Self(partner)
    }

    pub(super) fn src(&self) -> Ipv4Addr {
        array::<4>(&self.0, 0).into()
    }

    pub(super) fn dst(&self) -> Ipv4Addr {
        array::<4>(&self.0, 4).into()
    }

    pub(super) fn src_port(&self) -> u16 {
        u16::from_ne_bytes(array(&self.0, 8))
    }

    pub(super) fn dst_port(&self) -> u16 {
        u16::from_ne_bytes(array(&self.0, 10))
    }

    pub(super) fn protocol(&self) -> u8 {
        self.0[12]
    }

    /// The IP protocol's number, of those that have no name.
    pub(super) fn number(&self) -> u8 {
        self.0[13]
    }
}

/// A flow's entry of one direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawEntry([u8; Self::LEN]);

macro_rules! fields {
    ($($name:ident: $type:ty;)+) => {
        $(
            /// The field of that name.
            pub(super) fn $name(&self) -> $type {
                const AT: usize = std::mem::offset_of!(FlowEntry, $name);
                <$type>::from_ne_bytes(array(&self.0, AT))
            }
        )+
    };
}

impl RawEntry {
    /// How many bytes.
    pub(super) const LEN: usize = size_of::<FlowEntry>();

    /// Of a map's value.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Whether its packets come from the client.
    pub(super) fn is_out(&self) -> bool {
        self.direction() == Direction::Out as u8
    }

    /// What the client is translated to, or back to.
    pub(super) fn addr(&self) -> Ipv4Addr {
        array::<4>(&self.0, std::mem::offset_of!(FlowEntry, addr)).into()
    }

    pub(super) fn next_hop(&self) -> [u8; 6] {
        array(&self.0, std::mem::offset_of!(FlowEntry, next_hop))
    }

    fields! {
        port: u16;
        last_seen: u32;
        state: u8;
        direction: u8;
        mtu: u16;
        created: u32;
        egress: u8;
        holds: u8;
        packets: u64;
        bytes: u64;
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("inside the entry")
}
