//! The inner cargo: compiles `snat-ebpf` to a BPF object.

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use crate::{Toolchain, distribution, nightly};

pub(crate) const TARGET: &str = "bpfel-unknown-none";
const PACKAGE: &str = "snat-ebpf";

/// Where to build from and to.
#[derive(Clone, Copy, Debug)]
pub struct BuildOptions<'a> {
    /// Folder of the workspace that has `snat-ebpf` in it.
    pub workspace: &'a Path,
    /// Target directory of the inner cargo; not the outer one's, whose lock an outer cargo holds.
    pub target_dir: &'a Path,
}

/// The datapath did not compile.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// cargo could not be started.
    #[error("compiling the datapath: starting {program:?} failed: {source}")]
    Start {
        /// The program.
        program: OsString,
        /// What the system said.
        source: io::Error,
    },
    /// cargo ran and failed; it has printed why.
    #[error(
        "compiling the datapath with {toolchain}: cargo ended with {status}; see its messages above"
    )]
    Failed {
        /// The toolchain used.
        toolchain: String,
        /// How cargo ended.
        status: ExitStatus,
    },
}

impl Toolchain {
    /// Compiles `snat-ebpf`, release profile, and returns the object's path.
    ///
    /// cargo's messages go to standard error; nothing to standard output.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if cargo cannot be started or fails.
    pub fn build(&self, options: &BuildOptions<'_>) -> Result<PathBuf, BuildError> {
        let BuildOptions {
            workspace,
            target_dir,
        } = *options;
        let mut cargo = self.cargo();
        cargo
            .args([
                "build",
                "--locked",
                "--release",
                "--package",
                PACKAGE,
                "--bin",
                PACKAGE,
                "--target",
                TARGET,
            ])
            .arg("--target-dir")
            .arg(target_dir)
            .env("CARGO_ENCODED_RUSTFLAGS", self.rustflags())
            .current_dir(workspace)
            .stdout(Stdio::null());

        let status = cargo.status().map_err(|source| BuildError::Start {
            program: cargo.get_program().to_owned(),
            source,
        })?;
        if !status.success() {
            return Err(BuildError::Failed {
                toolchain: self.to_string(),
                status,
            });
        }
        Ok(target_dir.join(TARGET).join("release").join(PACKAGE))
    }

    fn cargo(&self) -> Command {
        let mut cargo = match self {
            Self::Distribution { .. } => {
                Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            }
            Self::Nightly { .. } => nightly::command("cargo"),
        };
        for (name, _) in env::vars_os().filter(|(name, _)| leaks(name)) {
            cargo.env_remove(name);
        }
        // Empty is "none", and wins over a wrapper in the user's cargo configuration.
        cargo
            .env("RUSTC_WRAPPER", "")
            .env("RUSTC_WORKSPACE_WRAPPER", "");
        match self {
            // The crate's name, not 1: aya-ebpf alone may use its one unstable feature.
            Self::Distribution { .. } => cargo
                .env("RUSTC", distribution::RUSTC)
                .env("RUSTC_BOOTSTRAP", "aya_ebpf"),
            Self::Nightly { .. } => cargo.args(["-Z", "build-std=core"]),
        };
        cargo
    }

    fn rustflags(&self) -> OsString {
        let mut linker = OsString::from("-Clinker=");
        linker.push(self.linker());
        // CPU v3 (kernel 5.1) has 32-bit registers and jumps; rustc passes it on to the linker.
        let mut flags = vec![
            linker,
            "-Ctarget-cpu=v3".into(),
            "-Cdebuginfo=2".into(),
            "-Clink-arg=--btf".into(),
        ];
        // Packet headers are not aligned, and the kernel's verifier allows unaligned access to packets where
        // the CPU does: one load instead of four byte loads with shifts. LLVM knows the feature since 22.
        if self.rustc().llvm >= 22 {
            flags.push("-Clink-arg=--cpu-features=+allows-misaligned-mem-access".into());
        }
        flags.join(OsStr::new("\x1f"))
    }
}

/// Whether a variable, meant for the cargo that runs us, would change what the inner cargo does.
///
/// What tells cargo how to reach the registry is kept.
fn leaks(name: &OsStr) -> bool {
    const KEEP: [&str; 5] = [
        "CARGO_HOME",
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_REGISTR",
        "CARGO_SOURCE_",
    ];
    const BUILD_SCRIPT: [&str; 8] = [
        "TARGET",
        "HOST",
        "PROFILE",
        "OUT_DIR",
        "OPT_LEVEL",
        "DEBUG",
        "NUM_JOBS",
        "MAKEFLAGS",
    ];
    let Some(name) = name.to_str() else {
        return false;
    };
    if KEEP.iter().any(|keep| name.starts_with(keep)) {
        return false;
    }
    let compiler = ["CARGO", "RUSTC", "RUSTFLAGS", "RUSTDOC"]
        .iter()
        .any(|start| name.starts_with(start));
    compiler
        || BUILD_SCRIPT.contains(&name)
        || name == "RUSTUP_TOOLCHAIN"
        || name.starts_with("DEP_")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::leaks;

    #[test]
    fn settings_of_the_outer_cargo_do_not_reach_the_inner_one() {
        for name in [
            "RUSTFLAGS",
            "RUSTC",
            "RUSTC_WRAPPER",
            "CARGO",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_TARGET_DIR",
        ] {
            assert!(leaks(OsStr::new(name)), "{name}");
        }
        for name in [
            "CARGO_BUILD_TARGET",
            "CARGO_MANIFEST_DIR",
            "OUT_DIR",
            "TARGET",
            "CARGO_PROFILE_RELEASE_LTO",
        ] {
            assert!(leaks(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn the_way_to_the_registry_is_kept() {
        for name in [
            "CARGO_HOME",
            "CARGO_HTTP_PROXY",
            "CARGO_NET_OFFLINE",
            "CARGO_REGISTRIES_CRATES_IO_PROTOCOL",
        ] {
            assert!(!leaks(OsStr::new(name)), "{name}");
        }
        for name in [
            "PATH",
            "HOME",
            "HTTPS_PROXY",
            "RUSTUP_HOME",
            "XDG_CACHE_HOME",
        ] {
            assert!(!leaks(OsStr::new(name)), "{name}");
        }
    }
}
