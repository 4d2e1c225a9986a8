//! TC filters on a clsact qdisc: the hook of kernels before 6.6, which have no TCX.
//!
//! Such a filter can't be pinned, and nothing but its name, priority and handle says whose it is. So ours
//! always have the same, and the instance's record says on which interfaces they are.

use std::io;

use aya::programs::{
    ProgramError, SchedClassifier, TcAttachType,
    tc::{
        NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle, qdisc_add_clsact,
        qdisc_detach_program,
    },
};

use crate::netlink::{self, BpfFilter, NetlinkError};

/// Behind filters that others add without a priority of their own (those count down from here).
const PRIORITY: u16 = 0xc001;
const HANDLE: TcHandle = TcHandle::new(0, 1);

/// Programs that are attached this way, with their direction.
const PROGRAMS: [(&str, TcAttachType); 2] = [
    ("snat_guard", TcAttachType::Egress),
    ("snat_tc", TcAttachType::Ingress),
];

/// For tests on kernels that do have TCX.
const FORCE: &str = "SNAT_FORCE_CLSACT";

/// Whether the environment asks for it.
pub(super) fn is_forced() -> bool {
    std::env::var_os(FORCE).is_some()
}

/// Whether a failure to attach by TCX means that this kernel has none.
pub(super) fn is_needed(error: &ProgramError) -> bool {
    match error {
        ProgramError::SyscallError(error) => error.io_error.raw_os_error() == Some(libc::EINVAL),
        _ => false,
    }
}

/// Attaches the program, or replaces ours that is there, in one step.
pub(super) fn attach(
    program: &mut SchedClassifier,
    interface: &str,
    kind: TcAttachType,
) -> Result<(), ProgramError> {
    match qdisc_add_clsact(interface) {
        // Somebody's, or ours: it can be shared. It is never removed, for filters of others may be on it.
        Ok(()) | Err(TcError::AlreadyAttached) => {}
        Err(error) if error_text(&error).contains("File exists") => {}
        Err(error) => return Err(error.into()),
    }
    let options = NlOptions {
        priority: PRIORITY,
        handle: HANDLE,
        classid: None,
    };
    let attached = program.attach_with_options(interface, kind, TcAttachOptions::Netlink(options));
    let id = match attached {
        Ok(id) => id,
        Err(_) => {
            let old = SchedClassifierLink::attached(interface, kind, PRIORITY, HANDLE, None)?;
            program.attach_to_link(old)?
        }
    };
    // Dropped, it would detach; there is no pin to hold it.
    std::mem::forget(program.take_link(id)?);
    Ok(())
}

/// Whether our filter for this way is on the interface.
///
/// # Errors
///
/// [`NetlinkError`] when the kernel's list cannot be had.
pub fn is_attached(link: u32, ingress: bool) -> Result<bool, NetlinkError> {
    Ok(netlink::bpf_filters(link, ingress)?.iter().any(is_ours))
}

/// Whether a filter is ours, as far as that can be told.
#[must_use]
pub fn is_ours(filter: &BpfFilter) -> bool {
    (filter.priority, filter.handle) == (PRIORITY, u32::from(HANDLE))
}

/// Removes our filters from an interface. None there is what was wanted.
///
/// # Errors
///
/// What the library said.
pub fn detach(interface: &str) -> Result<(), TcError> {
    for (name, kind) in PROGRAMS {
        match qdisc_detach_program(interface, kind, name) {
            Err(TcError::IoError(error)) if is_absent(&error) => {}
            other => other?,
        }
    }
    Ok(())
}

/// No such filter, or the interface itself is gone.
fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}

fn error_text(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(error_text).unwrap_or_default();
    format!("{error} {cause}")
}
