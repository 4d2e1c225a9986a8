//! The binding request of RFC 8489, and the one attribute of the answer that matters here.

use std::{
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result};

const COOKIE: u32 = 0x2112_a442;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const HEADER: usize = 20;
const PATIENCE: Duration = Duration::from_secs(1);

/// Asks a server from a port of any address of this namespace; see [`request_from`].
pub fn request(port: u16, server: SocketAddrV4) -> Result<SocketAddrV4> {
    request_from(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port), server)
}

/// Asks a server from a local endpoint; returns who it says we are.
pub fn request_from(local: SocketAddrV4, server: SocketAddrV4) -> Result<SocketAddrV4> {
    let ask = || -> Result<SocketAddrV4> {
        let socket = UdpSocket::bind(local)?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut request = [0; HEADER];
        request[1] = 1;
        request[4..8].copy_from_slice(&COOKIE.to_be_bytes());
        request[8..].fill_with(|| fastrand::u8(..));
        socket.send(&request)?;
        let mut answer = [0; 1024];
        let len = socket.recv(&mut answer).context("no answer")?;
        mapped(&answer[..len]).context("no mapped address in the answer")
    };
    ask().with_context(|| format!("STUN from {local} to {server}"))
}

fn mapped(answer: &[u8]) -> Option<SocketAddrV4> {
    let mut attributes = answer.get(HEADER..)?;
    loop {
        let (head, rest) = attributes.split_first_chunk::<4>()?;
        let [kind, len] = [[head[0], head[1]], [head[2], head[3]]].map(u16::from_be_bytes);
        let value = rest.get(..len.into())?;
        if kind == XOR_MAPPED_ADDRESS {
            let port = u16::from_be_bytes([*value.get(2)?, *value.get(3)?]);
            let address = u32::from_be_bytes(value.get(4..8)?.try_into().ok()?);
            return Some(SocketAddrV4::new(
                Ipv4Addr::from(address ^ COOKIE),
                port ^ (COOKIE >> 16) as u16,
            ));
        }
        attributes = rest.get(usize::from(len).next_multiple_of(4)..)?;
    }
}
