//! A blocking socket to one of the kernel's netlink families that never waits for ever.

use std::io;

use netlink_packet_core::{
    NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::sys::{
    socket::{setsockopt, sockopt::ReceiveTimeout},
    time::TimeVal,
};

use super::NetlinkError;

/// The kernel answers at once, or after somebody else's change: longer than this, and it never will.
const PATIENCE: TimeVal = TimeVal::new(5, 0);

/// Opens a socket to rtnetlink and sends one request by it.
pub(super) fn send(message: RouteNetlinkMessage, flags: u16) -> Result<Socket, NetlinkError> {
    let socket = open(NETLINK_ROUTE)?;
    send_by(&socket, message, flags)?;
    Ok(socket)
}

/// A socket to the family with this number.
pub(super) fn open(family: isize) -> Result<Socket, NetlinkError> {
    open_for(family, &PATIENCE)
}

/// Sends a request by a socket of its family.
pub(super) fn send_by<M>(socket: &Socket, message: M, flags: u16) -> Result<(), NetlinkError>
where
    M: NetlinkSerializable,
    NetlinkPayload<M>: From<M>,
{
    let mut message = NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::from(message));
    message.header.flags = flags;
    message.finalize();
    let mut buffer = vec![0; message.buffer_len()];
    message.serialize(&mut buffer);
    let sent = socket.send(&buffer, 0).map(drop);
    sent.map_err(failed("send a request"))
}

/// The messages of the next datagram; `what` names what was asked for.
pub(super) fn receive<M: NetlinkDeserializable>(
    socket: &Socket,
    what: &'static str,
) -> Result<Vec<NetlinkMessage<M>>, NetlinkError> {
    let datagram = datagram(socket).map_err(failed("receive an answer within 5 s"))?;
    let mut messages = Vec::new();
    let mut rest = datagram.as_slice();
    while !rest.is_empty() {
        let message =
            NetlinkMessage::<M>::deserialize(rest).map_err(|error| NetlinkError::Malformed {
                what,
                reason: error.to_string(),
            })?;
        // Messages are padded to four bytes (NLMSG_ALIGN).
        let length = (message.header.length as usize).next_multiple_of(4);
        rest = rest.get(length..).unwrap_or_default();
        messages.push(message);
    }
    Ok(messages)
}

/// With a time limit a signal ends the wait even where its handler has `SA_RESTART` (signal(7)).
fn datagram(socket: &Socket) -> io::Result<Vec<u8>> {
    loop {
        match socket.recv_from_full() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            answer => return answer.map(|(datagram, _)| datagram),
        }
    }
}

fn open_for(family: isize, patience: &TimeVal) -> Result<Socket, NetlinkError> {
    let mut socket = Socket::new(family).map_err(failed("open a socket"))?;
    setsockopt(&socket, ReceiveTimeout, patience)
        .map_err(|errno| failed("limit the socket's patience")(errno.into()))?;
    let reasons = "have the kernel give its reasons";
    socket.set_ext_ack(true).map_err(failed(reasons))?;
    // What a refusal carries of the request is of unlike length without it.
    socket.set_cap_ack(true).map_err(failed(reasons))?;
    socket.bind_auto().map_err(failed("bind the socket"))?;
    socket
        .connect(&SocketAddr::new(0, 0))
        .map_err(failed("connect to the kernel"))?;
    Ok(socket)
}

fn failed(attempt: &'static str) -> impl FnOnce(io::Error) -> NetlinkError {
    move |source| NetlinkError::Socket { attempt, source }
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::RouteNetlinkMessage;
    use netlink_sys::protocols::NETLINK_ROUTE;
    use nix::sys::time::TimeVal;

    use super::{open_for, receive};

    #[test]
    fn a_kernel_that_does_not_answer_is_not_waited_for_for_ever() {
        let socket = open_for(NETLINK_ROUTE, &TimeVal::new(0, 50_000)).expect("a socket");
        let error =
            receive::<RouteNetlinkMessage>(&socket, "nothing").expect_err("nothing was asked");
        assert!(
            error.to_string().contains("cannot receive an answer"),
            "{error}"
        );
    }
}
