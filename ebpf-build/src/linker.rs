//! `bpf-linker`, which turns LLVM bitcode into a BPF object with BTF.
//!
//! It links against LLVM itself, whose major version must be the compiler's: the name of the cache folder
//! says both versions, so that a new compiler gets a new linker beside the old one.

use std::{
    env,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{cache, inner, missing::Want, rustc::stdout};

/// The version this project builds and is tested with.
pub const VERSION: &str = "0.13.0";

/// LLVM majors this version can be built against.
const LLVM: std::ops::RangeInclusive<u32> = 21..=23;

/// The package with LLVM's library and headers.
#[must_use]
pub fn llvm_package(llvm: u32) -> String {
    format!("llvm-{llvm}-dev")
}

/// Where the packages of the distribution install that LLVM.
#[must_use]
pub fn llvm_prefix(llvm: u32) -> PathBuf {
    format!("/usr/lib/llvm-{llvm}").into()
}

/// The linker in our cache for that LLVM, if it is there and runs.
#[must_use]
pub fn cached(llvm: u32) -> Option<PathBuf> {
    Some(root(llvm)?.join("bin/bpf-linker")).filter(|path| runs(path))
}

/// How cargo builds the linker into our cache; displayed, it is the command line for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Install {
    args: Vec<OsString>,
    llvm_prefix: PathBuf,
}

impl Install {
    /// For an LLVM; `None` if there is no home for a cache or this version of the linker knows no such LLVM.
    #[must_use]
    pub fn new(llvm: u32) -> Option<Self> {
        let root = root(llvm).filter(|_| LLVM.contains(&llvm))?;
        let feature = format!("llvm-{llvm}");
        let install = [
            "install",
            "bpf-linker",
            "--locked",
            "--force",
            "--version",
            VERSION,
        ];
        let features = ["--no-default-features", "--features", &feature, "--root"];
        let mut args: Vec<OsString> = install
            .into_iter()
            .chain(features)
            .map(Into::into)
            .collect();
        args.push(root.into_os_string());
        Some(Self {
            args,
            llvm_prefix: llvm_prefix(llvm),
        })
    }

    /// The same as a command, with the distribution's compiler, so that the age of rustup's does not matter.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut cargo = inner::cargo();
        cargo.args(&self.args).env("LLVM_PREFIX", &self.llvm_prefix);
        cargo
    }
}

impl fmt::Display for Install {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LLVM_PREFIX={} cargo", self.llvm_prefix.display())?;
        self.args
            .iter()
            .try_for_each(|arg| write!(f, " {}", arg.display()))
    }
}

pub(crate) fn on_path() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|dir| dir.join("bpf-linker"))
        .find(|path| runs(path))
}

pub(crate) fn wants(llvm: u32) -> Vec<Want> {
    let mut wants = Vec::new();
    if !llvm_prefix(llvm).join("bin/llvm-config").exists() {
        wants.push(Want {
            what: format!("LLVM {llvm}, which bpf-linker is built against"),
            get: format!("sudo apt-get install {}", llvm_package(llvm)),
        });
    }
    let what = format!("bpf-linker {VERSION} for LLVM {llvm}");
    wants.push(match Install::new(llvm) {
        Some(install) => Want {
            what,
            get: install.to_string(),
        },
        None => Want {
            what: format!("{what}: needs HOME or XDG_CACHE_HOME, and an LLVM from {LLVM:?}"),
            get: "use the other way".into(),
        },
    });
    wants
}

fn root(llvm: u32) -> Option<PathBuf> {
    Some(cache()?.join(format!("bpf-linker-{VERSION}-llvm-{llvm}")))
}

/// Running it is the only proof: its LLVM is a shared library that an upgrade can take away.
fn runs(path: &Path) -> bool {
    path.is_file() && stdout(Command::new(path).arg("--version")).is_some()
}

#[cfg(test)]
mod tests {
    use super::Install;

    #[test]
    fn install_command_builds_against_the_llvm_asked_for() {
        let line = Install::new(22).expect("a home").to_string();
        assert!(
            line.starts_with("LLVM_PREFIX=/usr/lib/llvm-22 cargo install bpf-linker "),
            "{line}"
        );
        assert!(
            line.contains("--features llvm-22 ") && line.ends_with("-llvm-22"),
            "{line}"
        );
    }

    #[test]
    fn an_llvm_the_linker_does_not_know_has_no_install_command() {
        assert_eq!(Install::new(14), None);
    }
}
