//! Arguments of `explain`.

use clap::Args;

use super::values::{Endpoint, endpoint};
use crate::explain::packet::protocol;

/// Arguments of `explain`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  snat-ctl explain tcp 172.16.4.9 203.0.113.80:443
  snat-ctl explain udp 172.16.4.9:5060 203.0.113.80:5060 --reply
  snat-ctl explain tcp 198.51.100.7 203.0.113.10:8443 --in eth0     # from outside, to a port forward
  snat-ctl explain icmp 172.16.4.9:7 203.0.113.80 --size 1500 --df  # the port is the echo identifier
  snat-ctl explain gre 172.16.4.9 203.0.113.80 --json | jq -r .verdict

Nothing is sent and nothing is changed. The flow, port and route are those that a packet would get now; another
packet may come first. What netfilter would do is not asked. Exits 0 also for a packet that would be dropped.")]
pub struct ExplainArgs {
    /// tcp, udp, icmp, udp_lite, sctp, gre, esp, or a protocol number.
    #[arg(value_name = "PROTO", value_parser = protocol_number)]
    pub protocol: u8,
    /// Source: ADDR or ADDR:PORT. Without a port, 40000 is assumed.
    #[arg(value_name = "SRC", value_parser = endpoint)]
    pub src: Endpoint,
    /// Destination: ADDR or ADDR:PORT. Without a port, 443 is assumed.
    #[arg(value_name = "DST", value_parser = endpoint)]
    pub dst: Endpoint,
    /// Interface that it comes in by [default: the one that the route to SRC leaves by].
    #[arg(long = "in", value_name = "IF")]
    pub ingress: Option<String>,
    /// Explain the packet that would answer this one.
    #[arg(long)]
    pub reply: bool,
    /// Time to live on arrival.
    #[arg(long, default_value_t = 64)]
    pub ttl: u8,
    /// Length of the IP packet in bytes [default: what its headers take].
    #[arg(long, value_name = "BYTES")]
    pub size: Option<u16>,
    /// Set DF: don't fragment.
    #[arg(long)]
    pub df: bool,
    /// TCP flags, such as `syn` or `fin,ack` [default: `ack` if there is a flow, else `syn`].
    #[arg(long, value_name = "FLAGS", value_parser = flags)]
    pub flags: Option<u8>,
    /// Print JSON instead of text.
    #[arg(long)]
    pub json: bool,
}

fn protocol_number(text: &str) -> Result<u8, String> {
    Ok(match text.to_ascii_lowercase().as_str() {
        "icmp" => protocol::ICMP,
        "tcp" => protocol::TCP,
        "udp" => protocol::UDP,
        "udp_lite" | "udplite" => protocol::UDP_LITE,
        "sctp" => protocol::SCTP,
        "gre" => snat_common::Protocol::Gre as u8,
        "esp" => snat_common::Protocol::Esp as u8,
        number => number.parse().map_err(|_| {
            "accepted: tcp, udp, icmp, udp_lite, sctp, gre, esp, or a number from 0 to 255"
                .to_owned()
        })?,
    })
}

fn flags(text: &str) -> Result<u8, String> {
    let mut flags = 0;
    for name in text.split(',') {
        let name = name.trim().to_ascii_lowercase();
        let bit = (0..8).find(|bit| crate::explain::flag_names(1 << bit) == [name.as_str()]);
        let bit =
            bit.ok_or("accepted: fin, syn, rst, psh, ack, urg, ece, cwr, with commas between")?;
        flags |= 1 << bit;
    }
    Ok(flags)
}

#[cfg(test)]
mod tests {
    use super::{flags, protocol_number};

    #[test]
    fn protocols_go_by_name_or_number() {
        assert_eq!(protocol_number("TCP"), Ok(6));
        assert_eq!(protocol_number("51"), Ok(51));
        assert!(protocol_number("256").is_err());
        assert!(protocol_number("quic").is_err());
    }

    #[test]
    fn flags_add_up() {
        assert_eq!(flags("syn"), Ok(0x02));
        assert_eq!(flags("FIN, ack"), Ok(0x11));
        assert!(flags("sny").is_err());
    }
}
