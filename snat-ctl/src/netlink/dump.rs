//! One blocking rtnetlink dump: ask, gather, ask anew if the tables changed meanwhile.

use std::io;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// How often a dump is asked for anew when the tables changed while it ran.
const ATTEMPTS: u32 = 8;

/// Why the kernel's tables could not be read.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The socket could not be opened or used.
    #[error("netlink: cannot {attempt}: {source}")]
    Socket {
        /// What was being done.
        attempt: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The kernel refused the dump.
    #[error("netlink: the kernel refused to list {what}: {source}")]
    Refused {
        /// What was to be listed.
        what: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The kernel's answer is not understood.
    #[error("netlink: cannot read the kernel's list of {what}: {reason}")]
    Malformed {
        /// What was to be listed.
        what: &'static str,
        /// The decoder's words.
        reason: String,
    },
    /// The tables changed during every attempt.
    #[error("netlink: the list of {what} kept changing while it was read; try again")]
    Unstable {
        /// What was to be listed.
        what: &'static str,
    },
}

pub(super) fn dump(
    what: &'static str,
    request: &RouteNetlinkMessage,
) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
    for _ in 0..ATTEMPTS {
        if let Some(answer) = dump_once(what, request.clone())? {
            return Ok(answer);
        }
    }
    Err(NetlinkError::Unstable { what })
}

/// Sends a request that has no answer.
pub(super) fn tell(message: &RouteNetlinkMessage, flags: u16) -> Result<(), NetlinkError> {
    send(message.clone(), flags).map(drop)
}

/// `None` when the kernel flags the dump as torn by a change.
fn dump_once(
    what: &'static str,
    request: RouteNetlinkMessage,
) -> Result<Option<Vec<RouteNetlinkMessage>>, NetlinkError> {
    let socket = send(request, NLM_F_DUMP | NLM_F_REQUEST)?;
    let mut messages = Vec::new();
    let mut torn = false;
    loop {
        let (datagram, _) = socket
            .recv_from_full()
            .map_err(failed("receive an answer"))?;
        let mut rest = datagram.as_slice();
        while !rest.is_empty() {
            let malformed = |reason: String| NetlinkError::Malformed { what, reason };
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                .map_err(|error| malformed(error.to_string()))?;
            torn |= message.header.flags & NLM_F_DUMP_INTR != 0;
            // Messages are padded to four bytes (NLMSG_ALIGN).
            let length = (message.header.length as usize).next_multiple_of(4);
            rest = rest.get(length..).unwrap_or_default();
            match message.payload {
                NetlinkPayload::InnerMessage(inner) => messages.push(inner),
                NetlinkPayload::Done(_) => return Ok((!torn).then_some(messages)),
                NetlinkPayload::Error(error) => {
                    return Err(NetlinkError::Refused {
                        what,
                        source: error.to_io(),
                    });
                }
                _ => {}
            }
        }
    }
}

fn send(message: RouteNetlinkMessage, flags: u16) -> Result<Socket, NetlinkError> {
    let mut socket = Socket::new(NETLINK_ROUTE).map_err(failed("open a socket"))?;
    socket.bind_auto().map_err(failed("bind the socket"))?;
    socket
        .connect(&SocketAddr::new(0, 0))
        .map_err(failed("connect to the kernel"))?;

    let mut message = NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::from(message));
    message.header.flags = flags;
    message.finalize();
    let mut buffer = vec![0; message.buffer_len()];
    message.serialize(&mut buffer);
    socket.send(&buffer, 0).map_err(failed("send a request"))?;
    Ok(socket)
}

fn failed(attempt: &'static str) -> impl FnOnce(io::Error) -> NetlinkError {
    move |source| NetlinkError::Socket { attempt, source }
}
