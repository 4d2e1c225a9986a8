//! What a compiler says about itself.

use std::{path::Path, process::Command};

/// A compiler's version, as `rustc -vV` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rustc {
    /// Release, such as `1.96.0` or `1.97.0-nightly`.
    pub release: String,
    /// Major version of its LLVM.
    pub llvm: u32,
}

impl Rustc {
    /// Asks `command`, a compiler or a proxy for one; `None` if it cannot be run or says nothing useful.
    pub(crate) fn ask(command: &mut Command) -> Option<Self> {
        Self::parse(&stdout(command.arg("-vV"))?)
    }

    /// Whether the release is at least `version` (`major.minor` or longer; the patch level is not compared).
    #[must_use]
    pub fn at_least(&self, version: &str) -> bool {
        minor(&self.release) >= minor(version)
    }

    fn parse(text: &str) -> Option<Self> {
        let field = |name| {
            text.lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::trim)
        };
        Some(Self {
            release: field("release:")?.to_owned(),
            llvm: field("LLVM version:")?.split('.').next()?.parse().ok()?,
        })
    }
}

/// What `command` prints on success.
pub(crate) fn stdout(command: &mut Command) -> Option<String> {
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

/// Whether `dir`, the libraries of a target, has a `core` in it.
pub(crate) fn has_core(dir: &Path) -> bool {
    let Ok(entries) = dir.read_dir() else {
        return false;
    };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libcore-") && name.ends_with(".rlib")
    })
}

fn minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(['.', '-']).map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

#[cfg(test)]
mod tests {
    use super::Rustc;

    const TEXT: &str = "rustc 1.96.0 (ac68faa20 2026-05-25)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\n\
                        release: 1.96.0\nLLVM version: 22.1.8\n";

    #[test]
    fn release_and_llvm_major_are_read_from_verbose_version() {
        let rustc = Rustc::parse(TEXT).unwrap();
        assert_eq!(
            rustc,
            Rustc {
                release: "1.96.0".into(),
                llvm: 22
            }
        );
    }

    #[test]
    fn a_compiler_without_llvm_is_no_toolchain() {
        assert_eq!(Rustc::parse("release: 1.96.0\nbackend: other\n"), None);
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        let rustc = |release: &str| Rustc {
            release: release.into(),
            llvm: 22,
        };
        assert!(rustc("1.100.0").at_least("1.88"));
        assert!(rustc("1.88.0").at_least("1.88.1"));
        assert!(rustc("1.97.0-nightly").at_least("1.97"));
        assert!(!rustc("1.9.0").at_least("1.88"));
        assert!(!rustc("1.63.0").at_least("1.88"));
    }
}
