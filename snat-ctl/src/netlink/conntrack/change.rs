//! Gives connections to the kernel.

use std::io;

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkPayload};
use netlink_packet_netfilter::{NetfilterMessage, conntrack::ConntrackMessage};
use netlink_sys::{Socket, protocols::NETLINK_NETFILTER};

use super::{
    Connection,
    message::{name, request, write},
};
use crate::netlink::{
    NetlinkError,
    socket::{open, receive, send_by},
};

const WHAT: &str = "a connection that it is given";

/// What the kernel did with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// It follows it from now on.
    Done,
    /// It has another one with one of its tuples.
    Taken,
    /// It has no room (`net.netfilter.nf_conntrack_max`).
    Full,
}

/// A way to the kernel for one connection after the other.
pub struct Changes(Socket);

impl Changes {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// [`NetlinkError`] where there is no such socket.
    pub fn open() -> Result<Self, NetlinkError> {
        open(NETLINK_NETFILTER).map(Self)
    }

    /// Has the kernel follow the connection, in place of one that has the same original tuple.
    ///
    /// # Errors
    ///
    /// [`NetlinkError`] for any other reason than those of [`Entered`].
    pub fn enter(&self, connection: &Connection) -> Result<Entered, NetlinkError> {
        let entered = self.create(connection)?;
        if entered != Entered::Taken {
            return Ok(entered);
        }
        // Left from before the connection was ours.
        let delete = ConntrackMessage::Delete(name(connection));
        match self.tell(delete, 0)? {
            0 | libc::ENOENT => self.create(connection),
            errno => Err(NetlinkError::conntrack(WHAT, errno)),
        }
    }

    fn create(&self, connection: &Connection) -> Result<Entered, NetlinkError> {
        let new = ConntrackMessage::New(write(connection));
        match self.tell(new, NLM_F_CREATE | NLM_F_EXCL)? {
            0 => Ok(Entered::Done),
            libc::EEXIST => Ok(Entered::Taken),
            libc::ENOMEM | libc::ENOSPC => Ok(Entered::Full),
            errno => Err(NetlinkError::conntrack(WHAT, errno)),
        }
    }

    /// The errno that the kernel answers with; 0 where it has done it.
    fn tell(&self, message: ConntrackMessage, flags: u16) -> Result<i32, NetlinkError> {
        send_by(&self.0, request(message), NLM_F_REQUEST | NLM_F_ACK | flags)?;
        loop {
            for answer in receive::<NetfilterMessage>(&self.0, WHAT)? {
                if let NetlinkPayload::Error(error) = answer.payload {
                    return Ok(error.raw_code().abs());
                }
            }
        }
    }
}

impl NetlinkError {
    /// A refusal of ctnetlink's.
    pub(super) fn conntrack(what: &'static str, errno: i32) -> Self {
        let source = io::Error::from_raw_os_error(errno);
        match errno {
            libc::EPERM => Self::Denied,
            // nfnetlink_rcv_msg() of net/netfilter/nfnetlink.c, where no module speaks for the subsystem.
            libc::EINVAL | libc::EOPNOTSUPP => Self::NoConntrack { source },
            _ => Self::Refused { what, source },
        }
    }
}
