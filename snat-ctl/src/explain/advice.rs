//! What to do about a packet that does not get through.

use snat_common::Verdict;

/// What helps, in a sentence; `None` where nothing is wrong.
#[must_use]
pub const fn advice(verdict: Verdict) -> Option<&'static str> {
    Some(match verdict {
        Verdict::MalformedIp | Verdict::MalformedTransport | Verdict::ErrorInvalid => {
            "look at the sender: the packet is broken"
        }
        Verdict::UnknownProtocol => {
            "let it in with [protocols], if its address alone may be translated"
        }
        Verdict::IcmpType => "clients may open echo requests only; errors belong to a flow",
        Verdict::TcpNoFlow | Verdict::StrayIn => {
            "the connection is unknown here: it expired (see [timeouts]) or began elsewhere; a new one begins with a SYN"
        }
        Verdict::SpoofedSource => {
            "look for a loop, or for a machine that uses the gateway's address"
        }
        Verdict::Martian => "look at the sender: no packet on a wire has such addresses",
        Verdict::NoMapping => {
            "only what a client has asked for, or a [[forward]], comes in by that address"
        }
        Verdict::Unsolicited => "add a [[forward]] if that port should lead to a client",
        Verdict::Filtered => {
            "the client must speak to that server first, or its entry needs a wider `filtering`"
        }
        Verdict::PortsExhausted => {
            "give the entry more `external` addresses or `ports`; `snat-ctl status` shows their use"
        }
        Verdict::TableFull | Verdict::ShareLimit => {
            "raise gateway.max_flows, or shorten [timeouts]; `snat-ctl flows` shows who has them"
        }
        Verdict::SourceLimit => "raise limits.flows_per_source, or find out what the client does",
        Verdict::SourceRate => {
            "raise limits.new_flows_per_source, or find out what the client does"
        }
        Verdict::ProtocolTaken => {
            "only one client at a time may use that protocol with that server"
        }
        Verdict::TtlExpired | Verdict::TtlToStack => {
            "look for a routing loop, unless it is a traceroute"
        }
        Verdict::TooBig | Verdict::TooBigToStack => {
            "let ICMP through, so that the sender learns of the path's MTU"
        }
        Verdict::Unreachable => {
            "look at the routes: `ip route get` with that destination and `iif`"
        }
        Verdict::NotForwarded => {
            "if it should leave, look at the routes: `ip route get` with that destination and `iif`"
        }
        Verdict::UnmanagedEgress => "add the interface to gateway.interfaces, or route another way",
        Verdict::LeakStopped => "the stack would have sent it untranslated: look at the routes",
        Verdict::FlowVanishing => "nothing: the next packet opens the flow anew",
        Verdict::FragmentHeld | Verdict::FragmentInvalid | Verdict::FragmentLimit => {
            "look at the sender, or raise limits.fragments_per_source"
        }
        Verdict::RewriteFailed => "look at the kernel's log: it refused to change the packet",
        _ => return None,
    })
}
