//! Ports that this host itself uses: the kernel's tables of sockets, and where it takes ports from.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
};

use snat_common::Protocol;

use crate::config::Config;

/// `TCP_LISTEN` and `TCP_CLOSE` of the kernel: what a TCP and a UDP socket is that anybody may send to.
const LISTEN: &str = "0A";
const UNCONNECTED: &str = "07";

/// A TCP or UDP socket's own end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    /// TCP or UDP.
    pub(super) protocol: Protocol,
    /// Its address; none for an IPv6 one.
    pub(super) addr: Option<Ipv4Addr>,
    pub(super) port: u16,
    /// Whether it waits for anybody, as a service does; else it is a connection's.
    pub(super) waits: bool,
}

impl Socket {
    /// Whether it could receive what comes for this address.
    pub(super) fn receives(&self, addr: Ipv4Addr) -> bool {
        // An IPv6 socket takes IPv4 as well unless it says otherwise.
        self.is_any() || self.addr == Some(addr)
    }

    /// Whether it is bound to no address.
    pub(super) fn is_any(&self) -> bool {
        matches!(self.addr, None | Some(Ipv4Addr::UNSPECIFIED))
    }
}

/// The host's sockets, and the one that the gateway itself is going to listen on.
pub(super) fn with_own(config: &Config) -> io::Result<Vec<Socket>> {
    let mut sockets = sockets()?;
    sockets.extend(config.metrics.and_then(service));
    Ok(sockets)
}

/// A TCP service there, if IPv4 reaches it.
fn service(listen: SocketAddr) -> Option<Socket> {
    let addr = match listen {
        SocketAddr::V4(listen) => Some(*listen.ip()),
        SocketAddr::V6(listen) if listen.ip().is_unspecified() => None,
        SocketAddr::V6(_) => return None,
    };
    Some(Socket {
        protocol: Protocol::Tcp,
        addr,
        port: listen.port(),
        waits: true,
    })
}

/// All TCP and UDP sockets of the calling thread's network namespace.
fn sockets() -> io::Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    for (table, protocol) in [
        ("tcp", Protocol::Tcp),
        ("udp", Protocol::Udp),
        ("tcp6", Protocol::Tcp),
        ("udp6", Protocol::Udp),
    ] {
        // `/proc/net` would be the namespace of the process's first thread.
        match fs::read_to_string(format!("/proc/thread-self/net/{table}")) {
            Ok(text) => sockets.extend(parse(&text, protocol)),
            // A kernel without IPv6 has no such table.
            Err(error) if error.kind() == io::ErrorKind::NotFound && table.ends_with('6') => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sockets)
}

/// Ports that the kernel gives to sockets that ask for any.
pub(super) fn local_range() -> io::Result<RangeInclusive<u16>> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")?;
    let mut ports = text.split_whitespace().map(str::parse);
    match (ports.next(), ports.next()) {
        (Some(Ok(first)), Some(Ok(last))) => Ok(first..=last),
        _ => Err(io::Error::other(format!(
            "unexpected ip_local_port_range {text:?}"
        ))),
    }
}

/// Ports that the administrator keeps for programs that ask for them by number.
pub(super) fn reserved() -> io::Result<Vec<RangeInclusive<u16>>> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_reserved_ports")?;
    Ok(parse_ranges(text.trim()))
}

fn parse(table: &str, protocol: Protocol) -> impl Iterator<Item = Socket> + '_ {
    let waiting = if protocol == Protocol::Tcp {
        LISTEN
    } else {
        UNCONNECTED
    };
    table.lines().skip(1).filter_map(move |line| {
        let mut columns = line.split_whitespace().skip(1);
        let (addr, port) = columns.next()?.split_once(':')?;
        let waits = columns.nth(1)? == waiting;
        let port = u16::from_str_radix(port, 16)
            .ok()
            .filter(|port| *port > 0)?;
        // The kernel prints the address's bytes as one number of the machine's own order.
        let addr = (addr.len() == 8)
            .then(|| u32::from_str_radix(addr, 16).ok())
            .flatten();
        Some(Socket {
            protocol,
            addr: addr.map(|addr| Ipv4Addr::from(addr.to_ne_bytes())),
            port,
            waits,
        })
    })
}

fn parse_ranges(text: &str) -> Vec<RangeInclusive<u16>> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    };
    text.split(',').filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::{Ipv4Addr, Protocol, Socket, parse, parse_ranges};

    const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 634 1
   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 635 1
   2: 00000000:0000 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 636 1
   3: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 637 1
   broken line
";
    const UDP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 638 2
   1: 0100007F:C351 0100007F:0035 01 00000000:00000000 00:00000000 00000000     0        0 639 2
";
    const TCP6: &str = "\
  sl  local_address                         remote_address                        st
   0: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 00000000:0
";

    #[test]
    #[cfg(target_endian = "little")]
    fn socket_tables_give_address_and_port_and_whether_anybody_may_send() {
        let tcp = |addr, port, waits| Socket {
            protocol: Protocol::Tcp,
            addr,
            port,
            waits,
        };
        let localhost = Some(Ipv4Addr::LOCALHOST);
        let wanted = [
            tcp(Some(Ipv4Addr::UNSPECIFIED), 22, true),
            tcp(localhost, 8080, true),
            tcp(localhost, 50000, false),
        ];
        assert_eq!(parse(TCP, Protocol::Tcp).collect::<Vec<_>>(), wanted);
        let wanted = [tcp(None, 443, true)];
        assert_eq!(parse(TCP6, Protocol::Tcp).collect::<Vec<_>>(), wanted);
        let udp: Vec<_> = parse(UDP, Protocol::Udp).collect();
        assert_eq!(
            udp.iter().map(|socket| socket.waits).collect::<Vec<_>>(),
            [true, false]
        );
        assert_eq!(parse("", Protocol::Udp).count(), 0);
    }

    #[test]
    fn reserved_ports_are_single_or_ranges() {
        assert_eq!(parse_ranges("8080,9000-9010"), [8080..=8080, 9000..=9010]);
        assert_eq!(parse_ranges(""), []);
    }
}
