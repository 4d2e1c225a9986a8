//! Shares the host's own outbound connections among network interfaces, by weight.
//!
//! BPF programs on the root cgroup give a socket a mark when it connects, and UDP sockets when they are made. Rules
//! `fwmark MARK/MASK lookup TABLE` do the rest, and are not made here. The mark is the socket's from then on: a
//! connection stays on its interface, also while weights change or this program is replaced.
//!
//! Left alone are sockets of other network namespaces; sockets with a mark, an address or a device of their own, and
//! UDP sockets with a port of their own, which are servers; and destinations on this host or this link, and multicast.
//!
//! ```text
//! DIR/BALANCE CURRENT CHOSEN       two tables, which one counts, sockets by mark
//! DIR/connect4 connect6 …          one link a hook; removing one detaches it
//! ```

mod cgroup;
mod programs;
mod table;

use std::{fs, io, path::Path};

use snat_common::balance::Balance;
pub use snat_common::balance::{MAX_SLOTS, Slot};

use crate::datapath::{MapError, PinError, remove_dir};

/// Why connections can't be shared among interfaces, or no longer be told how.
#[derive(Debug, thiserror::Error)]
pub enum BalanceError {
    /// The slots make no sense.
    #[error("cannot share connections among interfaces: {0}")]
    Slots(String),
    /// Nowhere to attach to.
    #[error(
        "cannot share connections among interfaces: no cgroup2 file system is mounted, and the programs that choose \
         are attached to its root. Boot with systemd.unified_cgroup_hierarchy=1, or `mount -t cgroup2 none DIRECTORY`"
    )]
    NoCgroup,
    /// Something of the system's could not be read.
    #[error("cannot share connections among interfaces: reading {what} failed: {source}")]
    Read {
        /// A path, or a socket option.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// The kernel refused the object or a program.
    #[error("cannot load the programs that share connections among interfaces: {reason}")]
    Load {
        /// What happened.
        reason: String,
    },
    /// The kernel refused to attach a program.
    #[error(
        "cannot attach {program} to the cgroup {cgroup}: {reason}. `bpftool cgroup show {cgroup}` lists who is there; \
         a program without the flag `multi` lets nobody in beside it"
    )]
    Attach {
        /// Which.
        program: &'static str,
        /// Its path.
        cgroup: String,
        /// What happened.
        reason: String,
    },
    /// A pin could not be removed.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// A map could not be read or written.
    #[error(transparent)]
    Map(#[from] MapError),
}

/// Shares new connections of the calling thread's network namespace among `slots`, whose marks are bits of `mask`.
///
/// Loads and attaches what is not there yet, or is of another version. What is there is told the new shares in one
/// step: a connection sees the old ones or the new. `pins` is a directory in bpffs that nobody else uses.
///
/// # Errors
///
/// [`BalanceError`]. Shares that were installed before stay, unless their programs were of another version.
pub fn install(pins: &Path, mask: u32, slots: &[Slot]) -> Result<(), BalanceError> {
    install_on(pins, &cgroup::root()?, mask, slots)
}

/// As [`install`], for the processes of one cgroup. Programs that are attached already stay where they are.
///
/// # Errors
///
/// As for [`install`].
pub fn install_on(
    pins: &Path,
    cgroup: &Path,
    mask: u32,
    slots: &[Slot],
) -> Result<(), BalanceError> {
    let wanted = table::wanted(mask, slots)?;
    let current = programs::are_attached(pins)
        && table::read(pins).is_ok_and(|table| table.object == programs::digest());
    if !current {
        remove(pins)?;
        if let Err(error) = programs::attach(pins, cgroup) {
            let _ = remove(pins);
            return Err(error);
        }
    }
    Ok(table::write(pins, &wanted)?)
}

/// Detaches and removes everything; true if anything was there. Connections keep the marks they have.
///
/// # Errors
///
/// [`BalanceError::Pin`]; what is left can be removed by calling again.
pub fn remove(pins: &Path) -> Result<bool, BalanceError> {
    if !pins.exists() {
        return Ok(false);
    }
    // The kernel detaches a program a moment after its link's pin is gone: from here on it chooses nothing.
    let _ = table::write(pins, &Balance::default());
    remove_dir(pins)?;
    // Shared by all instances: stays while another one is there.
    if let Some(parent) = pins.parent() {
        let _ = fs::remove_dir(parent);
    }
    Ok(true)
}

/// The shares in force, each with how many sockets have got its mark since it has one; `None` if none are installed.
///
/// A UDP socket counts when it is made, whether it sends or not.
///
/// # Errors
///
/// [`BalanceError::Map`].
pub fn chosen(pins: &Path) -> Result<Option<Vec<(Slot, u64)>>, BalanceError> {
    if !programs::are_attached(pins) {
        return Ok(None);
    }
    Ok(Some(table::chosen(pins)?))
}
