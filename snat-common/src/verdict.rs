//! What became of a packet: one list, from which counters, `snat-ctl`, metrics and docs take names.

/// What the hook does with a packet once the engine is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Leave the packet as it came and let the kernel's stack have it.
    Pass,
    /// The packet is translated and has its Ethernet header: send it out.
    Forward,
    /// The packet is gone.
    Drop,
    /// The packet is gone, and its sender is told why, as far as the settings and their limits allow.
    Refuse,
    /// The packet was changed for another round: it now stands as if it had come from outside.
    Again,
    /// The packet is larger than its way: it is cut up, and its pieces come in again.
    Split,
    /// The packet is kept, and comes in again later.
    Hold,
}

impl Action {
    /// The stable name in JSON, metrics and documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "passed",
            Self::Forward => "forwarded",
            Self::Drop | Self::Refuse => "dropped",
            Self::Again => "again",
            Self::Split => "split",
            Self::Hold => "held",
        }
    }
}

macro_rules! verdicts {
    ($($(#[doc = $doc:literal])+ $name:ident = $value:literal, $action:ident, $label:literal;)+) => {
        /// Why a packet was passed, forwarded or dropped; the index of its counter.
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Verdict {
            $($(#[doc = $doc])+ $name = $value,)+
        }

        impl Verdict {
            /// Every verdict, in the order of the counters.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// What the hook does with the packet.
            #[inline(always)]
            #[must_use]
            pub const fn action(self) -> Action {
                match self {
                    $(Self::$name => Action::$action,)+
                }
            }

            /// The stable name in JSON, metrics and documents.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)+
                }
            }

            /// What it means, in a sentence for people.
            #[must_use]
            pub const fn describe(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+),)+
                }
            }
        }
    };
}

verdicts! {
    /// Not IPv4 over plain Ethernet: ARP, IPv6, VLAN and the like are the host's own.
    NotIpv4 = 0, Pass, "not_ipv4";
    /// No flow, and the source belongs to no SNAT entry: the host's own or plain routing.
    NotOurs = 1, Pass, "not_ours";
    /// Broadcast or multicast destination: never translated, the host's own.
    Multicast = 2, Pass, "multicast";
    /// The destination is in a bypass prefix: routed by the kernel, never translated.
    Bypass = 3, Pass, "bypass";
    /// The kernel's FIB delivers it here or has no route: the stack receives or answers it.
    NotForwarded = 4, Pass, "not_forwarded";
    /// TTL is used up: the stack answers the client with ICMP time exceeded.
    TtlToStack = 5, Pass, "ttl_to_stack";
    /// Larger than the path with DF set: the stack answers the client with ICMP fragmentation needed.
    TooBigToStack = 6, Pass, "too_big_to_stack";
    /// The next hop has no neighbour entry yet: the TC program behind XDP lets the kernel resolve it.
    NeighbourToStack = 7, Pass, "neighbour_to_stack";

    /// From a client, translated to the external address and sent on.
    TranslatedOut = 8, Forward, "translated_out";
    /// From outside, translated back to the client and sent on.
    TranslatedIn = 9, Forward, "translated_in";

    /// IPv4 header is broken: version, length or header checksum.
    MalformedIp = 10, Drop, "malformed_ip";
    /// TCP, UDP or ICMP header from a client is broken or cut short.
    MalformedTransport = 11, Drop, "malformed_transport";
    /// ICMP error with a wrong checksum, its own or in the header that it quotes.
    ErrorInvalid = 12, Drop, "error_invalid";
    /// Protocol from a client that cannot be translated.
    UnknownProtocol = 13, Drop, "unknown_protocol";
    /// ICMP type from a client that opens no flow.
    IcmpType = 14, Drop, "icmp_type";
    /// TCP from a client that belongs to no live flow and is no SYN: it gets an RST.
    TcpNoFlow = 15, Refuse, "tcp_no_flow";
    /// The source claims to be one of our own addresses.
    SpoofedSource = 16, Drop, "spoofed_source";
    /// To an external address that is on no interface of this host, and there is no flow for it.
    NoMapping = 17, Drop, "no_mapping";
    /// No external port is free towards that destination.
    PortsExhausted = 18, Refuse, "ports_exhausted";
    /// The flow table is full.
    TableFull = 19, Refuse, "table_full";
    /// TTL is used up on the way in.
    TtlExpired = 20, Refuse, "ttl_expired";
    /// Translated packet is larger than the path, and must not or cannot be cut up.
    TooBig = 21, Refuse, "too_big";
    /// The route is of a kind that can't be taken from here, or the way back to the client is gone.
    Unreachable = 22, Refuse, "unreachable";
    /// The route leaves by an interface that this gateway does not manage.
    UnmanagedEgress = 23, Drop, "unmanaged_egress";
    /// The flow was being removed in the same instant; the next packet opens it anew.
    FlowVanishing = 24, Drop, "flow_vanishing";
    /// A client's packet was about to leave untranslated through the stack; stopped on the way out.
    LeakStopped = 25, Drop, "leak_stopped";
    /// The packet could not be written to: the kernel refused.
    RewriteFailed = 26, Drop, "rewrite_failed";
    /// ICMP error from a client about a flow's packet, translated and sent on.
    ErrorOut = 27, Forward, "error_out";
    /// ICMP error from outside about a flow's packet, translated and sent on to the client.
    ErrorIn = 28, Forward, "error_in";
    /// From a client to another's external port: its source is translated, and it is looked at once more.
    Hairpin = 29, Again, "hairpin";
    /// Larger than the path without DF: cut into fragments, which are looked at one by one.
    Split = 30, Split, "split";
    /// To one of our external ports, for which there is neither flow nor mapping.
    Unsolicited = 31, Drop, "unsolicited";
    /// TCP from outside to one of our external ports that belongs to no flow and is no SYN.
    StrayIn = 32, Refuse, "stray_in";
    /// To a mapped external port, from a server that its filtering does not let in.
    Filtered = 33, Drop, "filtered";
    /// The client has all the flows that it may have.
    SourceLimit = 34, Refuse, "source_limit";
    /// The client opens flows faster than it may.
    SourceRate = 35, Drop, "source_rate";
    /// The table is nearly full, and the client has more than its share of it.
    ShareLimit = 36, Refuse, "share_limit";
    /// Source or destination that no packet on a wire may have (RFC 1812 §5.3.7), or both the same.
    Martian = 37, Drop, "martian";
    /// Another client owns the way to that server for a protocol without ports.
    ProtocolTaken = 38, Refuse, "protocol_taken";
    /// A fragment that came before the first of its datagram: kept until that comes.
    FragmentHeld = 39, Hold, "fragment_held";
    /// A fragment that overlaps another, is too short for its headers, or ends beyond 65,535 bytes.
    FragmentInvalid = 40, Drop, "fragment_invalid";
    /// Too many datagrams in fragments, from this client or altogether.
    FragmentLimit = 41, Drop, "fragment_limit";
    /// No flow, while connections move between the kernel's NAT and this gateway (adopt, hand-back): it may have one.
    LeftToKernel = 42, Pass, "left_to_kernel";
    /// The configuration allows the flow no longer: its sender is told.
    FlowEnded = 43, Refuse, "flow_ended";
}

impl Verdict {
    /// How many verdicts there are.
    pub const COUNT: u32 = Self::ALL.len() as u32;

    /// Whether the packet is gone, for its sender told or not: a reason of a drop.
    #[must_use]
    pub const fn is_drop(self) -> bool {
        matches!(self.action(), Action::Drop | Action::Refuse)
    }

    /// Every reason for which a packet is dropped, in the order of the counters.
    pub fn drops() -> impl Iterator<Item = Self> {
        Self::ALL
            .iter()
            .copied()
            .filter(|verdict| verdict.is_drop())
    }
}
