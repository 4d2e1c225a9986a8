//! What can go wrong between us and the kernel's tables.

use std::io;

/// Why the kernel's tables could not be read or changed.
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
    /// The kernel refused the question.
    #[error("netlink: the kernel gives no answer about {what}: {source}")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The kernel's answer is not understood.
    #[error("netlink: cannot read what the kernel says of {what}: {reason}")]
    Malformed {
        /// What was asked for.
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
    /// The kernel refused a change.
    #[error("netlink: the kernel refused `{command}`: {source}{words}{advice}")]
    Change {
        /// The same as a command of `ip`.
        command: String,
        /// What the kernel answered.
        source: io::Error,
        /// The kernel's own words (`NLMSGERR_ATTR_MSG`) in brackets, if it has any.
        words: String,
        /// What to do about it, from `; ` on, where there is a usual cause.
        advice: &'static str,
    },
    /// Another route has the place of ours, and to add ours would change it.
    #[error(
        "netlink: cannot `{command}`: a route with the same destination and metric is there, which IPv6 would \
         make one route of with ours: `{other} protocol {protocol}`; remove it or give ours another metric"
    )]
    InTheWay {
        /// The same as a command of `ip`.
        command: String,
        /// The route that is there.
        other: String,
        /// Who made it.
        protocol: u8,
    },
    /// The rule or route has parts that only its owner can say to the kernel.
    #[error(
        "netlink: cannot `{command}`: part of it is not snat-ctl's to say; change it by what made it"
    )]
    Foreign {
        /// The same as a command of `ip`.
        command: String,
    },
    /// The route names an interface that there isn't.
    #[error("netlink: cannot `{command}`: there is no interface {dev:?}; see `ip link`")]
    NoInterface {
        /// The same as a command of `ip`.
        command: String,
        /// The name.
        dev: String,
    },
    /// The kernel has no part for questions about connections, or none for their NAT.
    #[error(
        "netlink: the kernel does not understand what it is asked about connections: {source}; \
         `modprobe nf_conntrack_netlink nf_nat` if they are modules"
    )]
    NoConntrack {
        /// What the kernel answered.
        source: io::Error,
    },
    /// The kernel lists connections to who may change them only (`CAP_NET_ADMIN`).
    #[error(
        "netlink: the kernel tells this user nothing about connections; run as root: sudo snat-ctl ..."
    )]
    Denied,
    /// A packet that the host is to send itself has somebody else's source.
    #[error(
        "netlink: {source_address} is no address of this host, so it sends nothing from it: give the interface that it comes in by"
    )]
    NotOurs {
        /// The source.
        source_address: std::net::IpAddr,
    },
}

impl NetlinkError {
    /// Whether what was to be deleted was not there.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self.errno(), Some(libc::ENOENT | libc::ESRCH))
    }

    /// What the kernel says when there is nothing to delete: `ENOENT` of a rule, `ESRCH` of a route.
    pub(super) fn gone(command: String, errno: i32) -> Self {
        Self::Change {
            command,
            source: io::Error::from_raw_os_error(errno),
            words: String::new(),
            advice: "",
        }
    }

    /// Number of the kernel's refusal.
    pub(super) fn errno(&self) -> Option<i32> {
        match self {
            Self::Socket { source, .. }
            | Self::NoConntrack { source }
            | Self::Refused { source, .. }
            | Self::Change { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }
}
