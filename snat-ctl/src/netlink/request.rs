//! One request to rtnetlink, and what the kernel says to it.

use std::io;

use netlink_packet_core::{
    ErrorMessage, NLM_F_ACK, NLM_F_REQUEST, NetlinkPayload, NlasIterator, parse_string,
};
use netlink_packet_route::RouteNetlinkMessage;

use super::{
    NetlinkError,
    socket::{receive, send},
};

/// `NLMSGERR_ATTR_MSG`: why the kernel refused, in words.
const MESSAGE: u16 = 1;

/// Sends a request that has no answer.
pub(super) fn tell(message: &RouteNetlinkMessage) -> Result<(), NetlinkError> {
    send(message.clone(), NLM_F_REQUEST).map(drop)
}

/// Has the kernel change something. `command` says the same in the words of `ip`; `advice` what to do about an errno.
pub(super) fn change(
    message: RouteNetlinkMessage,
    flags: u16,
    command: &str,
    advice: fn(i32) -> &'static str,
) -> Result<(), NetlinkError> {
    match exchange(message, flags | NLM_F_ACK, "a change")? {
        Ok(_) => Ok(()),
        Err(refusal) => Err(NetlinkError::Change {
            command: command.to_owned(),
            words: words(&refusal).map_or_else(String::new, |words| format!(" ({words})")),
            advice: advice(refusal.raw_code().abs()),
            source: refusal.to_io(),
        }),
    }
}

/// Asks for one thing: the kernel's answer, or the error that it gives for one.
pub(super) fn ask(
    message: RouteNetlinkMessage,
    what: &'static str,
) -> Result<Result<RouteNetlinkMessage, io::Error>, NetlinkError> {
    match exchange(message, 0, what)? {
        Ok(Some(answer)) => Ok(Ok(answer)),
        Ok(None) => Err(NetlinkError::Malformed {
            what,
            reason: "it acknowledges the question and answers nothing".to_owned(),
        }),
        Err(refusal) => Ok(Err(refusal.to_io())),
    }
}

fn exchange(
    message: RouteNetlinkMessage,
    flags: u16,
    what: &'static str,
) -> Result<Result<Option<RouteNetlinkMessage>, ErrorMessage>, NetlinkError> {
    let socket = send(message, NLM_F_REQUEST | flags)?;
    loop {
        for answer in receive::<RouteNetlinkMessage>(&socket, what)? {
            match answer.payload {
                NetlinkPayload::Error(refusal) if refusal.code.is_some() => {
                    return Ok(Err(refusal));
                }
                NetlinkPayload::Error(_) => return Ok(Ok(None)),
                NetlinkPayload::InnerMessage(inner) => return Ok(Ok(Some(inner))),
                _ => {}
            }
        }
    }
}

/// The attributes stand behind the request's own header of 16 bytes (`NETLINK_CAP_ACK`, `netlink_ack`).
fn words(refusal: &ErrorMessage) -> Option<String> {
    NlasIterator::new(refusal.header.get(16..)?)
        .filter_map(Result::ok)
        .find(|attribute| attribute.kind() == MESSAGE)
        .and_then(|attribute| parse_string(attribute.value()).ok())
}
