//! The list of connections, read as it comes: there may be millions.

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkPayload};
use netlink_packet_netfilter::{
    NetfilterMessage, NetfilterMessageInner, conntrack::ConntrackMessage,
};
use netlink_sys::protocols::NETLINK_NETFILTER;

use super::{
    Connection,
    message::{read, request},
};
use crate::netlink::{
    NetlinkError,
    socket::{open, receive, send_by},
};

const WHAT: &str = "connections that it follows";

/// Calls `visit` for every connection. One that begins or ends meanwhile may be missed, and one may come twice: the
/// kernel looks at its table bucket by bucket, without stopping it.
///
/// # Errors
///
/// [`NetlinkError`] when the list cannot be had, or not to its end.
pub fn for_each(mut visit: impl FnMut(&Connection)) -> Result<(), NetlinkError> {
    let socket = open(NETLINK_NETFILTER)?;
    let get = request(ConntrackMessage::Get(Vec::new()));
    send_by(&socket, get, NLM_F_DUMP | NLM_F_REQUEST)?;
    loop {
        for message in receive::<NetfilterMessage>(&socket, WHAT)? {
            let code = match message.payload {
                NetlinkPayload::InnerMessage(message) => {
                    if let NetfilterMessageInner::Conntrack(ConntrackMessage::New(attributes)) =
                        &message.inner
                        && let Some(connection) = read(attributes)
                    {
                        visit(&connection);
                    }
                    continue;
                }
                NetlinkPayload::Done(done) if done.code == 0 => return Ok(()),
                // A list that the kernel could not end is not a short list.
                NetlinkPayload::Done(done) => done.code,
                NetlinkPayload::Error(error) => error.raw_code(),
                _ => continue,
            };
            return Err(NetlinkError::conntrack(WHAT, code.abs()));
        }
    }
}
