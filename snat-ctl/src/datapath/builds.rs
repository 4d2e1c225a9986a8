//! The programs of an instance by the build they are of: those at work, and those that were before, to go back to.
//!
//! A set is a directory of pins, whole or not counted: its link `build` is made last. Sets change places by
//! one rename, so that whoever opens a program finds one.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use aya::{
    Ebpf, EbpfError,
    maps::{Map, MapData, ProgramArray},
    programs::{ProgramError, SchedClassifier, Xdp},
};
use aya_obj::programs::XdpAttachType;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use snat_common::{siphash, stage::Stage};

use super::{
    LoadError, Pins,
    admit::admit,
    load::{object, refused, sizes},
    pins::{PinError, remove_dir},
};

const XDP: &str = "snat_xdp";
/// Names the build. A symbolic link, for bpffs has no plain files.
const BUILD: &str = "build";

/// This program's build: its version, and the beginning of a hash of its datapath.
#[must_use]
pub fn this_build() -> &'static str {
    static THIS: LazyLock<String> = LazyLock::new(|| {
        let words = object().chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        });
        let hash = words.fold(0, |hash, word| siphash::hash(&[0; 2], hash, word));
        format!("{}-{:08x}", env!("CARGO_PKG_VERSION"), hash >> 32)
    });
    &THIS
}

/// The build whose programs are at work; none where nothing is, or a version before builds were named began it.
#[must_use]
pub fn build_at_work(pins: &Pins) -> Option<String> {
    build_of(&pins.programs())
}

/// The build that `run --rollback` goes to.
#[must_use]
pub fn previous_build(pins: &Pins) -> Option<String> {
    build_of(&pins.previous())
}

/// The programs that interfaces are given.
pub(super) struct Programs {
    /// On the way in.
    pub(super) ingress: SchedClassifier,
    /// On the way out.
    pub(super) egress: SchedClassifier,
    dir: PathBuf,
    xdp: Option<Xdp>,
}

impl Programs {
    /// Those at work.
    pub(super) fn open(pins: &Pins) -> Result<Self, LoadError> {
        let dir = pins.programs();
        Ok(Self {
            ingress: pinned(&dir, "snat_tc")?,
            egress: pinned(&dir, "snat_guard")?,
            xdp: None,
            dir,
        })
    }

    /// The one for XDP, which only some sets have.
    pub(super) fn xdp(&mut self) -> Result<&mut Xdp, ProgramError> {
        let xdp = match self.xdp.take() {
            Some(xdp) => xdp,
            None => Xdp::from_pin(self.dir.join(XDP), XdpAttachType::Interface)?,
        };
        Ok(self.xdp.insert(xdp))
    }
}

/// Pins loaded programs as the set that is about to be at work. Nothing runs them yet.
pub(super) fn prepare(ebpf: &mut Ebpf, pins: &Pins) -> Result<(), LoadError> {
    keep_aside(pins)?;
    let next = pins.next();
    fs::create_dir(&next).map_err(|source| pin_error("make the directory", &next, source))?;
    pin_all(ebpf, &next).inspect_err(|_| {
        // The first error is the one to tell.
        let _ = remove_dir(&next);
    })
}

/// Puts the prepared set to work, as far as it is found by its pins or tail calls. What was at work becomes the previous one,
/// unless it is of the same build.
pub(super) fn take_over(pins: &Pins) -> Result<(), LoadError> {
    let (next, now) = (pins.next(), pins.programs());
    let differs = build_of(&now) != build_of(&next);
    if build_of(&now).is_some() && differs {
        remove_dir(&pins.previous())?;
    }
    exchange(&next, &now)?;
    install_stages(pins)?;
    keep_aside(pins)?;
    Ok(())
}

/// Puts the programs of the build before to work, and keeps those that were at work in their place: the next call
/// goes forth again. Interfaces are given them by [`super::attach_all`]. `max_flows` is the configuration's.
///
/// # Errors
///
/// [`LoadError`]: no such programs, or maps that this program cannot take over. Nothing was changed then.
pub fn roll_back(pins: &Pins, max_flows: u32) -> Result<(), LoadError> {
    if previous_build(pins).is_none() {
        return Err(LoadError::NoPrevious { name: pins.name() });
    }
    admit(pins, &sizes(max_flows))?;
    exchange(&pins.previous(), &pins.programs())?;
    install_stages(pins)
}

/// What an earlier start has left, or this one has no more use for: kept if there is nothing else to go back to.
fn keep_aside(pins: &Pins) -> Result<(), PinError> {
    let (next, previous) = (pins.next(), pins.previous());
    let useful =
        build_of(&next).is_some_and(|left| build_at_work(pins).is_some_and(|now| now != left));
    if useful && !previous.exists() {
        return fs::rename(&next, &previous).map_err(|source| {
            pin_error("keep the programs that were at work in", &previous, source)
        });
    }
    remove_dir(&next)
}

fn pin_all(ebpf: &mut Ebpf, dir: &Path) -> Result<(), LoadError> {
    for (name, program) in ebpf.programs_mut() {
        if program.fd().is_ok() {
            program.pin(dir.join(name)).map_err(|error| {
                let error = io::Error::other(error);
                LoadError::from(pin_error("pin the program", &dir.join(name), error))
            })?;
        }
    }
    let build = dir.join(BUILD);
    Ok(symlink(this_build(), &build)
        .map_err(|source| pin_error("name the build in", &build, source))?)
}

/// Puts the programs where tail calls find them.
fn install_stages(pins: &Pins) -> Result<(), LoadError> {
    let stages = MapData::from_pin(pins.dir().join("STAGES"));
    let stages = stages.and_then(|data| ProgramArray::try_from(Map::ProgramArray(data)));
    let mut stages = stages.map_err(EbpfError::from)?;
    for stage in Stage::ALL {
        let name = stage.program();
        let program = pinned(&pins.programs(), name)?;
        let fd = program.fd().map_err(|error| refused(name, error))?;
        stages
            .set(*stage as u32, fd, 0)
            .map_err(|error| refused(name, error.into()))?;
    }
    Ok(())
}

fn pinned(dir: &Path, name: &'static str) -> Result<SchedClassifier, LoadError> {
    SchedClassifier::from_pin(dir.join(name)).map_err(|error| refused(name, error))
}

fn build_of(dir: &Path) -> Option<String> {
    let build = fs::read_link(dir.join(BUILD)).ok()?;
    build.into_os_string().into_string().ok()
}

/// By one rename, if there is something to exchange with.
fn exchange(new: &Path, now: &Path) -> Result<(), PinError> {
    let flags = if now.exists() {
        RenameFlags::RENAME_EXCHANGE
    } else {
        RenameFlags::empty()
    };
    renameat2(AT_FDCWD, new, AT_FDCWD, now, flags)
        .map_err(|errno| pin_error("put programs to work in", now, errno.into()))
}

fn pin_error(attempt: &'static str, path: &Path, source: io::Error) -> PinError {
    PinError::new(attempt, path, source)
}
