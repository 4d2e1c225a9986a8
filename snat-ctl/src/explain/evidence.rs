//! What the engine asked on its way, and what it was answered: what an explanation is made of.

use snat_common::{
    Addr, FlowKey, Insert, MappingKey, Route, RouteQuery, Verdict, flow::Direction, policy::Grant,
};

/// A question of the engine's with its answer, or something it did.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    /// An entry of the flow table.
    Flow(FlowKey, Option<SeenFlow>),
    /// The SNAT entry whose prefix is the longest around an address.
    Source(Addr, Option<u32>),
    /// Whether an address is one of ours; the port sets that are ours there.
    External(Addr, Option<u32>),
    /// Whether an address is in a bypass prefix.
    Bypass(Addr, bool),
    /// The FIB.
    Route(RouteQuery, Route),
    /// An address that has policy routes of its own.
    OwnRoutes(Addr),
    /// Whether an interface is one of the gateway's.
    Managed(u32, bool),
    /// An element of the mapping table.
    Mapping(MappingKey, Option<SeenMapping>),
    /// A client, and how many flows it has.
    Client(Addr, u32),
    /// Whether a socket of the host waits for such a packet.
    Socket(FlowKey, bool),
    /// A flow was granted.
    Open(Grant),
    /// Tried to give a client's endpoint this port.
    Mapped(MappingKey, Insert),
    /// Tried to enter a flow.
    Entered(FlowKey, Insert),
    /// How that ended.
    Opened(Verdict),
}

/// A flow as it was when the engine looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeenFlow {
    /// Which of its entries it is.
    pub(super) direction: Direction,
    /// The client, or the external endpoint: what the packet would be given.
    pub(super) target: (Addr, u16),
    /// Number of its state.
    pub(super) state: u8,
    /// Ticks since it was opened.
    pub(super) age: u32,
    /// Ticks since either direction was used.
    pub(super) idle: u32,
    /// Packets of this direction.
    pub(super) packets: u64,
}

/// A mapping or a permission, likewise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeenMapping {
    /// What it leads to.
    pub(super) target: (Addr, u16),
    /// Flows that hold it; `None` where it is being removed.
    pub(super) holders: Option<u32>,
    /// Number of its filtering.
    pub(super) filtering: u8,
    /// Whether the configuration made it.
    pub(super) is_static: bool,
}
