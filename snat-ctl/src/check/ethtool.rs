//! A driver's name and queues, by the ethtool ioctl: no other interface tells both in a namespace.

use std::{
    ffi::{CStr, c_char},
    io,
    os::fd::{AsRawFd as _, OwnedFd},
};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// From `linux/sockios.h` and `linux/ethtool.h`.
const SIOCETHTOOL: libc::Ioctl = 0x8946;
const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GCHANNELS: u32 = 0x3c;
const ETHTOOL_GFLAGS: u32 = 0x25;
const ETH_FLAG_RXVLAN: u32 = 1 << 8;

/// Queues that receive and transmit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Channels {
    pub(super) combined: u32,
    pub(super) max_combined: u32,
}

/// Name of the interface's driver.
pub(super) fn driver(interface: &str) -> io::Result<String> {
    let mut info = DriverInfo {
        command: ETHTOOL_GDRVINFO,
        driver: [0; 32],
        rest: [0; 160],
    };
    query(interface, &mut info)?;
    let name = CStr::from_bytes_until_nul(&info.driver).map_err(io::Error::other)?;
    Ok(name.to_string_lossy().into_owned())
}

/// How many queues are in use, and how many there could be.
pub(super) fn channels(interface: &str) -> io::Result<Channels> {
    let mut counts = ChannelCounts {
        command: ETHTOOL_GCHANNELS,
        max: [0; 4],
        now: [0; 4],
    };
    query(interface, &mut counts)?;
    let [_, _, _, max_combined] = counts.max;
    let [_, _, _, combined] = counts.now;
    Ok(Channels {
        combined,
        max_combined,
    })
}

/// Whether the NIC takes VLAN tags out of the frames that it receives.
pub(super) fn takes_vlan_tags_out(interface: &str) -> io::Result<bool> {
    let mut flags = Value {
        command: ETHTOOL_GFLAGS,
        data: 0,
    };
    query(interface, &mut flags)?;
    Ok(flags.data & ETH_FLAG_RXVLAN != 0)
}

/// `struct ethtool_drvinfo`.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    rest: [u8; 160],
}

/// `struct ethtool_channels`: receive, transmit, other, combined.
#[repr(C)]
struct ChannelCounts {
    command: u32,
    max: [u32; 4],
    now: [u32; 4],
}

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

const _: () = assert!(size_of::<DriverInfo>() == 196 && size_of::<ChannelCounts>() == 36);
const _: () = assert!(size_of::<Value>() == 8);

/// A `repr(C)` structure of ethtool's that begins with the command which fills it.
trait Command {}
impl Command for DriverInfo {}
impl Command for ChannelCounts {}
impl Command for Value {}

fn query<T: Command>(interface: &str, data: &mut T) -> io::Result<()> {
    let socket: OwnedFd = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    let mut name = [0; libc::IFNAMSIZ];
    if interface.len() >= name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in name.iter_mut().zip(interface.bytes()) {
        *to = from as c_char;
    }
    let mut request = libc::ifreq {
        ifr_name: name,
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            ifru_data: (&raw mut *data).cast(),
        },
    };
    // SAFETY: `request` is a complete ifreq with a terminated name; its data points to a structure of
    // the size that the command in it asks the kernel to fill (asserted above), borrowed for the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{channels, driver};

    #[test]
    fn an_interface_that_is_not_there_is_an_error() {
        assert!(driver("no-such-if").is_err());
        assert!(channels("no-such-if").is_err());
        assert!(driver("a-name-of-far-too-many-letters").is_err());
    }
}
