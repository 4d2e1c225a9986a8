//! How `explain` asks the kernel what the datapath asks it: as a packet.
//!
//! A frame of `prog_test_run`: 14 bytes that stand for an Ethernet header, two unused ones, a [`Question`], and room
//! for the [`Answer`]. The interface that the packet in question came in by is that of the run's context.

use crate::{
    env::{Route, RouteKind},
    flow::Addr,
    next_hop::not_forwarded,
};

/// Offset of the question.
pub const QUESTION_AT: u32 = 16;
/// Offset of the answer.
pub const ANSWER_AT: u32 = QUESTION_AT + size_of::<Question>() as u32;
/// What the program returns when it has answered.
pub const ANSWERED: u32 = 1;

/// What is asked.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`crate::Env::route`].
    Route = 0,
    /// [`crate::Env::has_socket`], of TCP and UDP.
    Socket = 1,
}

/// The packet in question.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Source.
    pub src: Addr,
    /// Destination.
    pub dst: Addr,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// IP protocol.
    pub protocol: u8,
    /// Type of service byte.
    pub tos: u8,
    /// Number of a [`Kind`].
    pub kind: u8,
    /// Always zero.
    pub zero: u8,
}

/// What the kernel said: a [`Route`] as plain numbers, or whether there is a socket.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Interface to send on.
    pub ifindex: u32,
    /// The next hop itself.
    pub gateway: Addr,
    /// Metric of the route.
    pub metric: u32,
    /// Largest IP packet.
    pub mtu: u16,
    /// Link-layer address of the next hop.
    pub mac: [u8; 6],
    /// Number of a [`RouteKind`]; of a socket, 1 if there is one.
    pub kind: u8,
    /// Always zero.
    pub zero: [u8; 3],
}

const _: () = assert!(size_of::<Question>() == 16 && size_of::<Answer>() == 24);

impl Answer {
    /// Of a route.
    #[inline(always)]
    #[must_use]
    pub const fn of_route(route: &Route) -> Self {
        Self {
            ifindex: route.ifindex,
            gateway: route.gateway,
            metric: route.metric,
            mtu: route.mtu,
            mac: route.mac,
            kind: route.kind as u8,
            zero: [0; 3],
        }
    }

    /// The route that it is.
    #[must_use]
    pub const fn route(&self) -> Route {
        let kind = match self.kind {
            kind if kind == RouteKind::NotForwarded as u8 => return not_forwarded(),
            kind if kind == RouteKind::Ready as u8 => RouteKind::Ready,
            kind if kind == RouteKind::NoNeighbour as u8 => RouteKind::NoNeighbour,
            _ => RouteKind::Unusable,
        };
        Route {
            kind,
            ifindex: self.ifindex,
            mtu: self.mtu,
            mac: self.mac,
            gateway: self.gateway,
            metric: self.metric,
        }
    }
}
