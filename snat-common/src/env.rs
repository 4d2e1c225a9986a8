//! What the engine needs of the world around it: tables, routes, a clock, where the packet came in.
//!
//! In the kernel these are BPF maps and helpers; in tests and on the command line, plain collections.

use crate::{
    datagram::{DatagramHead, DatagramKey, DatagramRef, Untranslated},
    event::Event,
    flow::{Addr, FlowEntry, FlowKey},
    flow_ref::FlowRef,
    log::LogRecord,
    mapping::{BusyKey, Client, Mapping, MappingKey},
    mapping_ref::{BusyRef, ClientRef, MappingRef, SharedRef},
    parse::Parsed,
    policy::Grant,
    settings::{Eni, Interface, Settings, SnatEntry},
    verdict::Verdict,
};

/// How an insertion into the flow table ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insert {
    /// The entry is in.
    Done,
    /// The key is taken.
    Exists,
    /// There is no room.
    Full,
}

/// A question to the kernel's FIB, as for a packet that arrived on [`Env::ingress`].
#[derive(Clone, Copy, Debug)]
pub struct RouteQuery {
    /// Source as it was on arrival, or the external address.
    pub src: Addr,
    /// Destination to reach.
    pub dst: Addr,
    /// Ports as they were on arrival, for rules that look at them.
    pub ports: (u16, u16),
    /// IP protocol.
    pub protocol: u8,
    /// Type of service byte.
    pub tos: u8,
}

/// What the FIB said.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// Delivered to this host, broadcast, no route, or refused by one: the stack knows the answer.
    NotForwarded,
    /// Next hop and its link-layer address are known.
    Ready,
    /// Next hop is known, its link-layer address is not.
    NoNeighbour,
    /// A kind of route that can't be taken from here (encapsulation and the like).
    Unusable,
}

/// The FIB's answer; everything but `kind` is zero where it does not apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// What to do.
    pub kind: RouteKind,
    /// Interface to send on.
    pub ifindex: u32,
    /// Largest IP packet.
    pub mtu: u16,
    /// Link-layer address of the next hop.
    pub mac: [u8; 6],
    /// The next hop itself.
    pub gateway: Addr,
    /// Metric of the route.
    pub metric: u32,
}

/// The body of [`Env::repeat`], with what it works on.
pub trait Step {
    /// One turn. True ends the loop.
    fn turn(&mut self, index: u32) -> bool;
}

/// The engine's surroundings.
pub trait Env {
    /// Whether a packet may be sent to a next hop whose link-layer address is yet to be found.
    const RESOLVES_NEIGHBOURS: bool;
    /// Whether the packets of a flow's direction come one after the other: by one receive queue, which one CPU at a
    /// time polls. Then they are counted without atomic operations.
    const ONE_AFTER_THE_OTHER: bool;

    /// The monotonic clock in ticks of 2^24 ns, wrapping.
    fn now(&self) -> u32;
    /// The settings, once the control plane has written them.
    fn settings(&self) -> Option<&Settings>;
    /// Interface index the packet came in by; 0 for what the host itself sends.
    fn ingress(&self) -> u32;

    /// An entry of the flow table.
    fn flow(&self, key: &FlowKey) -> Option<FlowRef<'_>>;
    /// Adds an entry, never replacing one.
    fn insert(&self, key: &FlowKey, entry: &FlowEntry) -> Insert;
    /// Removes an entry. False if it is still there: the kernel may be too busy with its bucket.
    fn remove(&self, key: &FlowKey) -> bool;

    /// An element of the mapping table.
    fn mapping(&self, key: &MappingKey) -> Option<MappingRef<'_>>;
    /// Adds an element, never replacing one.
    fn add_mapping(&self, key: &MappingKey, mapping: &Mapping) -> Insert;
    /// Removes an element. False if it is still there.
    fn remove_mapping(&self, key: &MappingKey) -> bool;

    /// A client's use of the gateway.
    fn client(&self, addr: Addr) -> Option<ClientRef<'_>>;
    /// Begins to count a client. False where there is no room.
    fn add_client(&self, addr: Addr, client: &Client) -> bool;
    /// Ends it. False if the element is still there.
    fn remove_client(&self, addr: Addr) -> bool;

    /// Notes a flow's key of direction `In` in a place of the ring of those that were opened last.
    fn remember(&self, place: u32, in_key: &FlowKey);
    /// What is noted there.
    fn remembered(&self, place: u32) -> Option<FlowKey>;

    /// The ports that searches have found taken.
    fn busy(&self, key: &BusyKey) -> Option<BusyRef<'_>>;
    /// Begins that set anew, with nothing in it.
    fn begin_busy(&self, key: &BusyKey);

    /// Keeps what was read of the packet until the engine is done with it.
    ///
    /// In the kernel this is memory of a map, of which the verifier assumes nothing: so the many ways
    /// through the parser are one to what follows.
    #[expect(
        clippy::mut_from_ref,
        reason = "memory that lasts longer than the surroundings, and that one packet at a time has"
    )]
    fn keep(&self, parsed: Parsed) -> Option<&mut Parsed>;

    /// Opens the flow that a packet was granted: [`crate::claim::claim`].
    ///
    /// The kernel does it in a program of its own, and the packet comes back to the start of the engine; then
    /// this returns only if that program is missing.
    fn open(&self, key: &FlowKey, grant: &Grant, now: u32) -> Verdict;

    /// What is known of a datagram in fragments.
    fn datagram(&self, key: &DatagramKey) -> Option<DatagramRef<'_>>;
    /// Begins to know a datagram whose first fragment is translated, in place of an older one with that key.
    /// False where there is no room.
    fn begin_datagram(&self, key: &DatagramKey, head: &DatagramHead) -> bool;
    /// What became of a first fragment that was not translated.
    fn untranslated(&self, key: &DatagramKey) -> Option<Untranslated>;
    /// Notes it.
    fn note_untranslated(&self, key: &DatagramKey, first: &Untranslated);

    /// Whether [`Env::note_left`] was told of such a packet. Not where no connections change hands.
    fn was_left(&self, _key: &FlowKey) -> bool {
        false
    }
    /// Notes a client's packet that is left to the kernel, which may open a connection with it.
    fn note_left(&self, _key: &FlowKey) {}

    /// What all CPUs count together.
    fn shared(&self) -> Option<SharedRef<'_>>;
    /// Counts an event.
    fn event(&self, event: Event);
    /// Counts a search for a port that tried so many ([`crate::tries`]).
    fn searched(&self, tries: u32);
    /// Notes in the log who has which external port; a record that finds no room is counted.
    fn log(&self, record: &LogRecord);

    /// Which SNAT entry has the longest source prefix around `addr`.
    fn source_entry(&self, addr: Addr) -> Option<u32>;
    /// Whether `addr` is in a bypass prefix.
    fn bypassed(&self, addr: Addr) -> bool;
    /// Whether `addr` is one of the external addresses or the host's own on a gateway's interface; if so,
    /// the port sets whose ports are ours there, as bits.
    fn external(&self, addr: Addr) -> Option<u32>;
    /// Whether a socket of this host waits for such a packet. Of other protocols than TCP and UDP none does.
    fn has_socket(&self, key: &FlowKey) -> bool;
    /// An SNAT entry.
    fn entry(&self, index: u32) -> Option<&SnatEntry>;
    /// An external address; 0.0.0.0 stands for the primary address of the egress interface.
    fn pool(&self, index: u32) -> Option<Addr>;
    /// How many ports a port set has, and how many of those are below 1024.
    fn port_counts(&self, set: u32) -> (u32, u32);
    /// Which of 64 ports are in a port set.
    fn allowed(&self, set: u32, word: u32) -> u64;
    /// A port of a port set.
    fn port(&self, set: u32, index: u32) -> Option<u16>;
    /// Which of the gateway's interfaces has this index.
    fn slot(&self, ifindex: u32) -> Option<u32>;
    /// An interface of the gateway.
    fn interface(&self, slot: u32) -> Option<&Interface>;
    /// What the policy routes say of the interface with this index.
    fn eni(&self, ifindex: u32) -> Option<&Eni>;
    /// Whether policy routes look at packets that have this source: then it decides by which interface they leave.
    fn has_own_routes(&self, src: Addr) -> bool;

    /// Calls `step` with 0, 1, 2… until it says that it is done, at most `limit` times.
    ///
    /// The kernel's verifier checks the body of such a loop once, not once per turn.
    fn repeat<S: Step>(&self, limit: u32, step: &mut S);

    /// Asks the FIB.
    fn route(&self, query: &RouteQuery) -> Route;
}
