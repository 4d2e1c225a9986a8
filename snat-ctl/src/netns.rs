//! The network namespace that this thread is in.

use std::{io, os::fd::AsRawFd as _};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// `SO_NETNS_COOKIE` of `asm-generic/socket.h`, since Linux 5.14.
const SO_NETNS_COOKIE: libc::c_int = 71;

/// What tells this namespace from all others until the next boot.
///
/// # Errors
///
/// What the kernel said; before Linux 5.14 there is no such number.
pub fn cookie() -> io::Result<u64> {
    let socket = socket(
        AddressFamily::Unix,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    let mut cookie = 0_u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the socket is open; the kernel writes at most `length` bytes to a number of that size.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if result == 0 {
        Ok(cookie)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Whether this is the namespace of the machine: of its first process. Not, if that can't be told (who is not root may
/// not look).
#[must_use]
pub fn is_the_machines() -> bool {
    let of = |process| std::fs::read_link(format!("/proc/{process}/ns/net"));
    match (of("1"), of("thread-self")) {
        (Ok(first), Ok(own)) => first == own,
        _ => false,
    }
}
