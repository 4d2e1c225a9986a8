//! One blocking rtnetlink dump: ask, gather, ask anew if the tables changed meanwhile.

use netlink_packet_core::{NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;

use super::{
    NetlinkError,
    socket::{receive, send},
};

/// How often a dump is asked for anew when the tables changed while it ran.
const ATTEMPTS: u32 = 8;

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

/// As [`dump`]; nothing where the kernel has no IPv6 (or no IPv4).
pub(super) fn dump_family(
    what: &'static str,
    request: &RouteNetlinkMessage,
) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
    match dump(what, request) {
        Err(error) if error.errno() == Some(libc::EAFNOSUPPORT) => Ok(Vec::new()),
        answer => answer,
    }
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
        for message in receive::<RouteNetlinkMessage>(&socket, what)? {
            torn |= message.header.flags & NLM_F_DUMP_INTR != 0;
            match message.payload {
                NetlinkPayload::InnerMessage(inner) => messages.push(inner),
                // A list that the kernel could not end is not a short list.
                NetlinkPayload::Done(done) if done.code < 0 => {
                    return Err(NetlinkError::Refused {
                        what,
                        source: std::io::Error::from_raw_os_error(-done.code),
                    });
                }
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
