//! Ports that this host itself uses: the kernel's tables of sockets, and where it takes ports from.

use std::{fs, io, net::Ipv4Addr, ops::RangeInclusive};

/// A TCP or UDP socket's own end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    /// Its address; none for an IPv6 one.
    pub(super) addr: Option<Ipv4Addr>,
    pub(super) port: u16,
}

/// All TCP and UDP sockets of the calling thread's network namespace.
pub(super) fn sockets() -> io::Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    for table in ["tcp", "udp", "tcp6", "udp6"] {
        // `/proc/net` would be the namespace of the process's first thread.
        match fs::read_to_string(format!("/proc/thread-self/net/{table}")) {
            Ok(text) => sockets.extend(parse(&text)),
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

fn parse(table: &str) -> impl Iterator<Item = Socket> {
    table.lines().skip(1).filter_map(|line| {
        let (addr, port) = line.split_whitespace().nth(1)?.split_once(':')?;
        let port = u16::from_str_radix(port, 16)
            .ok()
            .filter(|port| *port > 0)?;
        // The kernel prints the address's bytes as one number of the machine's own order.
        let addr = (addr.len() == 8)
            .then(|| u32::from_str_radix(addr, 16).ok())
            .flatten();
        Some(Socket {
            addr: addr.map(|addr| Ipv4Addr::from(addr.to_ne_bytes())),
            port,
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
    use super::{Ipv4Addr, Socket, parse, parse_ranges};

    const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 634 1
   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 635 1
   2: 00000000:0000 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 636 1
   broken line
";
    const TCP6: &str = "\
  sl  local_address                         remote_address                        st
   0: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 00000000:0
";

    #[test]
    #[cfg(target_endian = "little")]
    fn socket_tables_give_address_and_port() {
        let sockets: Vec<_> = parse(TCP).collect();
        let any = Socket {
            addr: Some(Ipv4Addr::UNSPECIFIED),
            port: 22,
        };
        let loopback = Socket {
            addr: Some(Ipv4Addr::LOCALHOST),
            port: 8080,
        };
        assert_eq!(sockets, [any, loopback]);
        assert_eq!(
            parse(TCP6).collect::<Vec<_>>(),
            [Socket {
                addr: None,
                port: 443
            }]
        );
        assert_eq!(parse("").count(), 0);
    }

    #[test]
    fn reserved_ports_are_single_or_ranges() {
        assert_eq!(parse_ranges("8080,9000-9010"), [8080..=8080, 9000..=9010]);
        assert_eq!(parse_ranges(""), []);
    }
}
