//! An instance's place in bpffs.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Where bpffs is expected.
const BPFFS: &str = "/sys/fs/bpf";

/// Every map of the object, each pinned by its name.
pub(super) const MAPS: [&str; 37] = [
    "FLOWS",
    "SETTINGS",
    "SOURCES",
    "BYPASS",
    "ENTRIES",
    "POOL",
    "EXTERNALS",
    "PORT_SETS",
    "SLOTS",
    "INTERFACES",
    "ENIS",
    "BY_SOURCE",
    "VERDICTS",
    "MAPPINGS",
    "CLIENTS",
    "LEFT",
    "BUSY",
    "NO_BUSY",
    "SHARED",
    "STAGES",
    "HANDOVER",
    "WORK",
    "ADOPTING",
    "PARSED",
    "EVENTS",
    "FRAGMENTS",
    "NEW_DATAGRAM",
    "UNTRANSLATED",
    "HELD",
    "HOLDERS",
    "RELEASE",
    "ASIDE",
    "CLAIM_TRIES",
    "WATCH",
    "DROPS",
    "LOG",
    "OPENED",
];

/// Why something under bpffs could not be made or removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt} {}: {source}", path.display())]
pub struct PinError {
    attempt: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl PinError {
    pub(super) fn new(attempt: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        Self {
            attempt,
            path,
            source,
        }
    }
}

/// The directory of an instance.
#[derive(Clone, Debug)]
pub struct Pins {
    dir: PathBuf,
}

impl Pins {
    /// Of the instance `name`, which is a valid one.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self {
            dir: Path::new(BPFFS).join("snat").join(name),
        }
    }

    /// The directory itself: where the maps are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The instance.
    pub(crate) fn name(&self) -> String {
        let name = self.dir.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// Whether anything of the instance is there.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.dir.exists()
    }

    /// Whether every map is there.
    #[must_use]
    pub fn complete(&self) -> bool {
        MAPS.iter().all(|name| self.dir.join(name).exists())
    }

    /// Where links are pinned.
    #[must_use]
    pub fn links(&self) -> PathBuf {
        self.dir.join("links")
    }

    /// The programs at work.
    pub(super) fn programs(&self) -> PathBuf {
        self.dir.join("progs")
    }

    /// The programs that were at work before, of another build.
    pub(super) fn previous(&self) -> PathBuf {
        self.dir.join("previous")
    }

    /// Programs that are about to be at work.
    pub(super) fn next(&self) -> PathBuf {
        self.dir.join("next")
    }

    /// The sweep program.
    #[must_use]
    pub fn sweep_program(&self) -> PathBuf {
        self.programs().join("snat_sweep")
    }

    /// The program that answers for `explain`.
    #[must_use]
    pub fn look_program(&self) -> PathBuf {
        self.programs().join("snat_look")
    }

    /// The program that makes flows of the kernel's connections.
    #[must_use]
    pub fn adopt_program(&self) -> PathBuf {
        self.dir.join("progs").join("snat_adopt")
    }

    /// File names of the pinned links, sorted.
    #[must_use]
    pub fn link_names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.links())
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    /// Makes the directories.
    pub(super) fn create(&self) -> Result<(), PinError> {
        let links = self.links();
        fs::create_dir_all(&links)
            .map_err(|source| PinError::new("make the directory", &links, source))
    }

    /// Removes every pin: links first, which detaches, then the rest. True if there was anything.
    ///
    /// # Errors
    ///
    /// [`PinError`] names the first path that could not be removed; what is left can be removed by
    /// calling again.
    pub fn remove(&self) -> Result<bool, PinError> {
        if !self.exists() {
            return Ok(false);
        }
        let sets = [self.next(), self.previous(), self.programs()];
        for sub in [self.links()].into_iter().chain(sets) {
            remove_dir(&sub)?;
        }
        remove_dir(&self.dir)?;
        // Shared by all instances: stays while another one is there.
        if let Some(parent) = self.dir.parent() {
            let _ = fs::remove_dir(parent);
        }
        Ok(true)
    }
}

/// Removes a directory of pins, if there.
pub(crate) fn remove_dir(dir: &Path) -> Result<(), PinError> {
    let failed = |attempt, path: &Path| {
        let path = path.to_owned();
        move |source| PinError::new(attempt, &path, source)
    };
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed("list", dir))?,
    };
    for entry in entries {
        let path = entry.map_err(failed("list", dir))?.path();
        fs::remove_file(&path).map_err(failed("remove the pin", &path))?;
    }
    fs::remove_dir(dir).map_err(failed("remove the directory", dir))
}
