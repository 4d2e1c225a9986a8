//! What can be done about a packet that does not get through: one sentence for each reason, wherever it is told.

use snat_common::Verdict;

/// What helps, a sentence without its full stop; `None` where nothing is wrong.
#[must_use]
pub const fn advice(verdict: Verdict) -> Option<&'static str> {
    use Verdict as V;
    Some(match verdict {
        V::NotIpv4
        | V::NotOurs
        | V::Multicast
        | V::Bypass
        | V::NeighbourToStack
        | V::TranslatedOut
        | V::TranslatedIn
        | V::ErrorOut
        | V::ErrorIn
        | V::Hairpin
        | V::LeftToKernel
        | V::Split => return None,
        V::NotForwarded => {
            "If it should leave, look at the route: `ip route get` with that destination and `iif`"
        }
        V::MalformedIp => {
            "Look for a broken sender, or offloads that leave the header checksum undone"
        }
        V::MalformedTransport => "Look at the client that sends it: no stack does",
        V::ErrorInvalid => {
            "Nothing, unless it grows: somebody forges errors, or a router breaks them"
        }
        V::UnknownProtocol => {
            "Use what a NAT can carry (IPsec: NAT-T; AH: not at all), or see [protocols]"
        }
        V::IcmpType => "Nothing: only echo opens a flow, and errors need one",
        V::TcpNoFlow => {
            "Connections older than the gateway, or idle beyond timeouts.tcp_established: turn keepalives on"
        }
        V::SpoofedSource => "Take the gateway's address away from the client that uses it",
        V::NoMapping => {
            "Give this host the external address (`ip addr add`), or route it elsewhere"
        }
        V::PortsExhausted => {
            "List more external addresses or more ports, or shorten the timeouts; `snat-ctl status` shows \
             ports by address"
        }
        V::TableFull => {
            "Raise gateway.max_flows, which takes `snat-ctl unload`, or limit clients with \
             limits.flows_per_source; `snat-ctl flows` shows who has them"
        }
        V::TtlExpired | V::TtlToStack => {
            "Nothing, if it is a traceroute; else look for a routing loop"
        }
        V::TooBig | V::TooBigToStack => {
            "Let ICMP through, so that the sender learns of the path's MTU, or set gateway.mss_clamp"
        }
        V::Unreachable => {
            "Look at the route: `ip route get` on the gateway, to the server and to the client"
        }
        V::UnmanagedEgress => {
            "Add the interface that the route leaves by to gateway.interfaces, or change the route"
        }
        V::FlowEnded => "Nothing: `snat-ctl apply` has ended these flows, and said how many",
        V::FlowVanishing => "Nothing: the sender tries again",
        V::LeakStopped => {
            "Add the interface that these clients come in by to gateway.interfaces, or change their route"
        }
        V::RewriteFailed => "Look for a shortage of memory in the kernel's log",
        V::Unsolicited => {
            "Nothing, if it is a scan; for a service behind the gateway add a [[forward]]"
        }
        V::StrayIn => {
            "Nothing, if it is a scan; else it is a connection that the gateway no longer knows"
        }
        V::Filtered => "Nothing, if nobody expects that peer; else change the entry's filtering",
        V::SourceLimit => {
            "Look at these clients with `snat-ctl flows`, or raise limits.flows_per_source"
        }
        V::SourceRate => {
            "Look at these clients with `snat-ctl flows`, or raise limits.new_flows_per_source"
        }
        V::ShareLimit => "Raise gateway.max_flows, or limit clients with limits.flows_per_source",
        V::Martian => "Look for the sender by its MAC address: its source address is no address",
        V::ProtocolTaken => {
            "Give the second client another server, another external address, or a protocol with ports"
        }
        V::FragmentInvalid => "Nothing, unless it grows: fragments like these are made, not cut",
        V::FragmentHeld | V::FragmentLimit => {
            "Look for a flood of fragments, or raise limits.fragments_per_source"
        }
    })
}

#[cfg(test)]
mod tests {
    use snat_common::Verdict;

    use super::advice;

    #[test]
    fn for_every_drop_there_is_a_sentence_that_can_be_ended_as_its_place_needs() {
        for verdict in Verdict::drops() {
            let advice = advice(verdict).unwrap_or_default();
            assert!(!advice.is_empty() && !advice.ends_with('.'), "{advice}");
        }
    }
}
