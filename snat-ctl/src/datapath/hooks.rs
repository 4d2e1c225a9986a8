//! What is attached to an interface: what the instance has pinned, and what the kernel runs.

use aya::programs::{
    ProgramError, SchedClassifier, TcAttachType,
    links::{FdLink, PinnedLink},
};

use super::Pins;

/// A link that the instance has pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedHook {
    /// `xdp`, `ingress` or `egress`.
    pub hook: String,
    /// The interface's name when it was pinned.
    pub interface: String,
    /// Kernel's id of the program behind it, attached or not.
    pub program: u32,
}

/// All of them. One that can't be read counts as absent.
#[must_use]
pub fn pinned_hooks(pins: &Pins) -> Vec<PinnedHook> {
    let names = pins.link_names().into_iter();
    names
        .filter_map(|name| {
            let (hook, interface) = name.split_once('-')?;
            let pinned = PinnedLink::from_pin(pins.links().join(&name)).ok()?;
            Some(PinnedHook {
                hook: hook.to_owned(),
                interface: interface.replace(':', "."),
                program: FdLink::from(pinned).info().ok()?.program_id(),
            })
        })
        .collect()
}

/// Ids and names of the TCX programs of an interface, in the order in which they run.
///
/// # Errors
///
/// What the kernel answered; before Linux 6.6 it has no TCX.
pub fn tcx_programs(
    interface: &str,
    ingress: bool,
) -> Result<Vec<(u32, Option<String>)>, ProgramError> {
    let hook = if ingress {
        TcAttachType::Ingress
    } else {
        TcAttachType::Egress
    };
    let (_revision, programs) = SchedClassifier::query_tcx(interface, hook)?;
    Ok(programs
        .iter()
        .map(|program| (program.id(), program.name_as_str().map(str::to_owned)))
        .collect())
}
