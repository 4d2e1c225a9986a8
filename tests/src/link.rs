//! Links between namespaces.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use nix::net::if_::if_nametoindex;

use crate::{netns::Netns, xdp_pass};

/// One end of a [`connect`]ed pair.
#[derive(Clone, Copy)]
pub struct End<'a> {
    /// Where it is.
    pub netns: &'a Netns,
    /// Its name there.
    pub dev: &'a str,
    /// Its address and prefix length. A bridge port has none.
    pub addr: Option<(Ipv4Addr, u8)>,
}

/// An end with an address; its MAC shows it (02:00 and the four bytes), so that captures read well.
#[must_use]
pub fn end<'a>(netns: &'a Netns, dev: &'a str, addr: [u8; 4], len: u8) -> End<'a> {
    End {
        netns,
        dev,
        addr: Some((addr.into(), len)),
    }
}

/// An end without an address.
#[must_use]
pub fn port<'a>(netns: &'a Netns, dev: &'a str) -> End<'a> {
    End {
        netns,
        dev,
        addr: None,
    }
}

/// Makes a veth pair and brings both ends up.
pub fn connect(left: End<'_>, right: End<'_>) -> Result<()> {
    left.netns.ip(&format!(
        "link add {} type veth peer name {} netns {}",
        left.dev,
        right.dev,
        right.netns.name()
    ))?;
    for End { netns, dev, addr } in [left, right] {
        let mut lines = String::new();
        if let Some((addr, len)) = addr {
            let [a, b, c, d] = addr.octets();
            lines += &format!("link set {dev} address 02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}\n");
            lines += &format!("addr add {addr}/{len} dev {dev}\n");
        }
        netns.ip(&format!("{lines}link set {dev} up\n"))?;
    }
    Ok(())
}

/// Makes a bridge with the given ports, which must be there. Without snooping it sends nothing of its own.
pub fn bridge(netns: &Netns, dev: &str, ports: &[&str]) -> Result<()> {
    let ports: String = ports
        .iter()
        .map(|port| format!("link set {port} master {dev}\n"))
        .collect();
    netns.ip(&format!(
        "link add {dev} type bridge forward_delay 0 mcast_snooping 0\n{ports}link set {dev} up\n"
    ))
}

/// Every packet whole and finished: no offload leaves a checksum or a segmentation to be done later.
/// XDP cannot see that a checksum is only begun, and a capture has to see what a wire would carry.
pub fn offloads_off(netns: &Netns, dev: &str) -> Result<()> {
    netns
        .run(&format!(
            "ethtool -K {dev} tx off sg off tso off gso off gro off"
        ))
        .map(drop)
}

/// The peer of a port with XDP: frames sent there by XDP are received only with NAPI, which veth has
/// with an XDP program of its own. (Or with GRO on; but the kernel's `veth_xdp_flush()` wakes a peer
/// only if it has a program: after `XDP_TX` the ring fills up, and then takes nothing from anybody.)
pub fn receive_from_xdp(netns: &Netns, dev: &str) -> Result<()> {
    let attached = netns.enter(|| {
        let ifindex = if_nametoindex(dev).with_context(|| format!("finding {dev}"))?;
        xdp_pass::attach(ifindex)
    })?;
    netns.keep(attached);
    Ok(())
}
