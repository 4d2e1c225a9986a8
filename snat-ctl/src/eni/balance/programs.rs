//! The programs in the kernel, pinned by their links.

use std::{
    error::Error,
    fmt,
    fs::{self, File},
    hash::{DefaultHasher, Hasher as _},
    path::Path,
};

use aya::{
    Ebpf, EbpfLoader,
    programs::{
        Program, ProgramError,
        links::{CgroupAttachMode, FdLink},
    },
};

use super::BalanceError;
use crate::datapath::chain;

/// What the library says, of one kind or another.
type Failure = Box<dyn Error>;

/// Programs, and the pins of their links.
const PROGRAMS: [(&str, &str); 5] = [
    // First what takes marks back, then what gives them.
    ("snat_bind4", "bind4"),
    ("snat_bind6", "bind6"),
    ("snat_connect4", "connect4"),
    ("snat_connect6", "connect6"),
    ("snat_create", "sock_create"),
];

const MAPS: [&str; 3] = ["BALANCE", "CURRENT", "CHOSEN"];

/// The object. The alignment is what the ELF parser asks for.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/snat-balance.o"));

/// Tells versions of the object apart.
pub(super) fn digest() -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(OBJECT);
    hasher.finish()
}

/// Whether all is there.
pub(super) fn are_attached(pins: &Path) -> bool {
    let links = PROGRAMS.iter().map(|(_, link)| link);
    MAPS.iter()
        .chain(links)
        .all(|name| pins.join(name).exists())
}

/// Loads the object, and attaches and pins every program. Nothing of it is there yet.
pub(super) fn attach(pins: &Path, cgroup: &Path) -> Result<(), BalanceError> {
    let target = File::open(cgroup).map_err(|source| BalanceError::Read {
        what: format!("the cgroup {}", cgroup.display()),
        source,
    })?;
    fs::create_dir_all(pins).map_err(|error| refused(&pins.display(), &error))?;
    let mut ebpf = load(pins)?;
    for (name, link) in PROGRAMS {
        attach_one(&mut ebpf, name, &target)
            .and_then(|attached| Ok(attached.pin(pins.join(link))?))
            .map_err(|error| BalanceError::Attach {
                program: name,
                cgroup: cgroup.display().to_string(),
                reason: chain(&*error),
            })?;
    }
    Ok(())
}

fn load(pins: &Path) -> Result<Ebpf, BalanceError> {
    let mut loader = EbpfLoader::new();
    let paths = MAPS.map(|name| (name, pins.join(name)));
    for (name, path) in &paths {
        loader.map_pin_path(name, path.as_path());
    }
    let loaded = loader.load(OBJECT);
    let mut ebpf = loaded.map_err(|error| refused(&"the object", &error))?;
    for (name, program) in ebpf.programs_mut() {
        match program {
            Program::CgroupSock(program) => program.load(),
            Program::CgroupSockAddr(program) => program.load(),
            _ => Err(ProgramError::UnexpectedProgramType),
        }
        .map_err(|error| refused(&name, &error))?;
    }
    Ok(ebpf)
}

/// A link lets others in beside it, whatever the mode; that flag itself is refused
/// (`cgroup_bpf_link_attach()`).
const MODE: CgroupAttachMode = CgroupAttachMode::Single;

fn attach_one(ebpf: &mut Ebpf, name: &str, cgroup: &File) -> Result<FdLink, Failure> {
    Ok(match ebpf.program_mut(name) {
        Some(Program::CgroupSock(program)) => {
            let id = program.attach(cgroup, MODE)?;
            program.take_link(id)?.try_into()?
        }
        Some(Program::CgroupSockAddr(program)) => {
            let id = program.attach(cgroup, MODE)?;
            program.take_link(id)?.try_into()?
        }
        _ => Err(ProgramError::NotLoaded)?,
    })
}

fn refused(what: &dyn fmt::Display, error: &dyn Error) -> BalanceError {
    BalanceError::Load {
        reason: format!("{what}: {}", chain(error)),
    }
}
