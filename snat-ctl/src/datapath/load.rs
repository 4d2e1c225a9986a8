//! Gets the object into the kernel: maps made or taken over, programs verified.

use aya::{
    Ebpf, EbpfError, EbpfLoader,
    programs::{ProgramError, SchedClassifier, Xdp},
};
use snat_common::{
    recycle::ring,
    settings::{MAX_BUSY, MAX_HELD},
    stage::Stage,
};

use super::{
    Pins,
    admit::admit,
    builds,
    map::MapError,
    pins::{MAPS, PinError},
};
use crate::{
    config::{Datapath, Gateway},
    trace::TraceFilter,
};

/// The compiled datapath. The alignment is what the ELF parser asks for.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/snat-ebpf.o"));

/// The object itself, for those who look into it.
#[must_use]
pub fn object() -> &'static [u8] {
    OBJECT
}

/// Why the datapath could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The kernel or the library refused the object or a map.
    #[error("cannot load the datapath into the kernel: {0}")]
    Object(#[from] EbpfError),
    /// The kernel refused a program.
    #[error("cannot load program {program} into the kernel: {reason}")]
    Program {
        /// Which one.
        program: &'static str,
        /// What happened, in a line.
        reason: String,
        /// The verifier's log, where it was the verifier that refused.
        log: Option<String>,
    },
    /// A pin could not be made.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// A pinned map could not be read.
    #[error(transparent)]
    Map(#[from] MapError),
    /// What is pinned there is not ours to take over.
    #[error(
        "cannot take over the datapath pinned in {dir}: {reason}; nothing was changed. `snat-ctl unload --name {name}` removes it, and its flows with it"
    )]
    Incompatible {
        /// Where.
        dir: String,
        /// The instance.
        name: String,
        /// What does not fit.
        reason: String,
    },
    /// There is nothing to go back to.
    #[error(
        "cannot roll instance {name:?} back: no programs of another build are kept; nothing was changed. They are kept when `snat-ctl run` of one build takes over from another. To go back to any build, start its snat-ctl: no flow is lost if it has the same ABI version"
    )]
    NoPrevious {
        /// The instance.
        name: String,
    },
}

impl LoadError {
    /// The verifier's log, in full, where it was the verifier that refused.
    #[must_use]
    pub fn verifier_log(&self) -> Option<&str> {
        match self {
            Self::Program { log, .. } => log.as_deref(),
            _ => None,
        }
    }
}

/// Both sides of a mapping, and a permission, for each flow. In a large table few flows have a port of their own, for
/// an address has but 65,536 of each protocol: and an element that is never used costs memory, too.
fn mapping_elements(max_flows: u32) -> u32 {
    const ENOUGH: u32 = 1 << 18;
    max_flows.saturating_mul(3).min(max_flows.max(ENOUGH))
}

/// How many elements those maps have that don't say it themselves.
pub(super) fn sizes(max_flows: u32) -> [(&'static str, u32); 5] {
    [
        // Both directions of a flow are an element each.
        ("FLOWS", max_flows.saturating_mul(2)),
        ("MAPPINGS", mapping_elements(max_flows)),
        ("OPENED", ring(max_flows)),
        ("BUSY", least_recent(MAX_BUSY)),
        ("HELD", least_recent(MAX_HELD)),
    ]
}

/// Loads maps and programs, of which those that are to be traced tell of packets. Maps that are pinned already, with all
/// their flows, are taken over if they fit. Interfaces are given the programs by [`super::attach_all`].
///
/// # Errors
///
/// [`LoadError`]. What was pinned before is as it was.
pub fn load(
    pins: &Pins,
    gateway: &Gateway,
    trace: Option<&TraceFilter>,
) -> Result<Ebpf, LoadError> {
    let sizes = sizes(gateway.max_flows);
    admit(pins, &sizes)?;
    pins.create()?;

    let paths: Vec<_> = MAPS
        .iter()
        .map(|name| (*name, pins.dir().join(name)))
        .collect();
    let mut loader = EbpfLoader::new();
    for (name, size) in sizes {
        loader.map_max_entries(name, size);
    }
    for (name, path) in &paths {
        loader.map_pin_path(name, path.as_path());
    }
    let wanted = trace.map_or(snat_common::trace::Filter::ALL.words(), TraceFilter::words);
    let (on, level) = (u8::from(trace.is_some()), trace.map_or(0, |_| u8::MAX));
    loader.override_global("TRACE", &on, true);
    loader.override_global("TRACE_FILTER", &wanted, true);
    loader.override_global(aya_log::LEVEL, &level, true);
    let mut ebpf = loader.load(OBJECT)?;
    for program in [
        "snat_tc",
        "snat_guard",
        "snat_sweep",
        "snat_look",
        "snat_adopt",
    ] {
        load_program(&mut ebpf, program, |ebpf| tc(ebpf, program)?.load())?;
    }
    for stage in Stage::ALL {
        let program = stage.program();
        load_program(&mut ebpf, program, |ebpf| tc(ebpf, program)?.load())?;
    }
    let xdp = load_program(&mut ebpf, "snat_xdp", |ebpf| xdp(ebpf)?.load());
    if gateway.datapath != Datapath::Tc {
        xdp?;
    }
    builds::prepare(&mut ebpf, pins)?;
    // All of them are verified and pinned: from here on a datapath that is taken over uses the new ones.
    builds::take_over(pins)?;
    Ok(ebpf)
}

/// Room for `wanted` elements in a map whose oldest go: before Linux 6.17 each CPU takes up to 128 for itself.
fn least_recent(wanted: u32) -> u32 {
    let cpus = aya::util::nr_cpus().unwrap_or(1).min(16) as u32;
    wanted.max(cpus * 128)
}

/// One of the TC programs.
fn tc<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut SchedClassifier, ProgramError> {
    ebpf.program_mut(name)
        .ok_or(ProgramError::NotLoaded)?
        .try_into()
}

/// The XDP program.
fn xdp(ebpf: &mut Ebpf) -> Result<&mut Xdp, ProgramError> {
    ebpf.program_mut("snat_xdp")
        .ok_or(ProgramError::NotLoaded)?
        .try_into()
}

fn load_program(
    ebpf: &mut Ebpf,
    program: &'static str,
    load: impl FnOnce(&mut Ebpf) -> Result<(), ProgramError>,
) -> Result<(), LoadError> {
    load(ebpf).map_err(|error| refused(program, error))
}

pub(super) fn refused(program: &'static str, error: ProgramError) -> LoadError {
    match error {
        ProgramError::LoadError {
            io_error,
            verifier_log,
        } => LoadError::Program {
            program,
            reason: format!(
                "{io_error}; `snat-ctl run --verifier-log` shows the verifier's reasons"
            ),
            log: Some(verifier_log.to_string()),
        },
        other => LoadError::Program {
            program,
            reason: other.to_string(),
            log: None,
        },
    }
}
