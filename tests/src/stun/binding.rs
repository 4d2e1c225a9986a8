//! The binding request of RFC 8489, and the one attribute of the answer that matters here.

use std::{
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use crate::wait;

const COOKIE: u32 = 0x2112_a442;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const HEADER: usize = 20;
const PATIENCE: Duration = Duration::from_secs(5);
/// Then the request is sent once more (RFC 8489 section 6.2.1).
const AGAIN: Duration = Duration::from_millis(500);

/// Asks servers in turn from one local endpoint of this namespace; returns who each says we are.
pub fn request(local: SocketAddrV4, servers: &[SocketAddrV4]) -> Result<Vec<SocketAddrV4>> {
    let socket = UdpSocket::bind(local).with_context(|| format!("binding to {local}"))?;
    socket.set_read_timeout(Some(AGAIN))?;
    let ask = |server: &SocketAddrV4| -> Result<SocketAddrV4> {
        let mut request = [0; HEADER];
        request[1] = 1;
        request[4..8].copy_from_slice(&COOKIE.to_be_bytes());
        request[8..].fill_with(|| fastrand::u8(..));
        let mut answer = [0; 1024];
        let (len, from) = wait::until(PATIENCE, "an answer", || {
            socket.send_to(&request, server)?;
            let came = socket.recv_from(&mut answer).context("no answer")?;
            let is_ours = answer[4..HEADER] == request[4..];
            ensure!(is_ours, "an answer to another request");
            Ok(came)
        })?;
        ensure!(from == (*server).into(), "an answer from {from}");
        mapped(&answer[..len]).context("no mapped address in the answer")
    };
    let ask = |server| ask(server).with_context(|| format!("STUN from {local} to {server}"));
    servers.iter().map(ask).collect()
}

/// Waits until a local endpoint of this namespace is free. A socket that is closed may live on for a moment in a
/// process that another thread is about to start.
pub fn await_free(local: SocketAddrV4) -> Result<()> {
    wait::until(PATIENCE, "a port is free again", || {
        UdpSocket::bind(local).map(drop).context("binding")
    })
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
