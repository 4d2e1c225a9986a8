//! The inner cargo: compiles `snat-ebpf` to a BPF object.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use crate::{Toolchain, inner, nightly};

pub(crate) const TARGET: &str = "bpfel-unknown-none";
const PACKAGE: &str = "snat-ebpf";

/// The objects, by their files' names: the datapath, and what shares the host's connections among interfaces.
pub const OBJECTS: [&str; 2] = ["snat-ebpf", "snat-balance"];

/// The object that `cargo xtask bench` measures with, built with the others.
pub const BENCH: &str = "snat-bench";

/// Where to build from and to.
#[derive(Clone, Copy, Debug)]
pub struct BuildOptions<'a> {
    /// Folder of the workspace that has `snat-ebpf` in it.
    pub workspace: &'a Path,
    /// Target directory of the inner cargo; not the outer one's, whose lock an outer cargo holds.
    pub target_dir: &'a Path,
}

/// The inner cargo's target directory beside `inside`, a file or folder in the outer one's: one for all profiles of
/// the outer cargo. Where no folder around `inside` is marked as cargo's own, it is in `inside`.
#[must_use]
pub fn target_dir(inside: &Path) -> PathBuf {
    inside
        .ancestors()
        .find(|dir| dir.join("CACHEDIR.TAG").exists())
        .unwrap_or(inside)
        .join("ebpf")
}

/// The folder of a target directory where the objects are.
#[must_use]
pub fn folder(target_dir: &Path) -> PathBuf {
    target_dir.join(TARGET).join("release")
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

/// Flags of rustc that leave this machine's folders out of what it makes: two machines make the same, and the kernel
/// names source lines by `snat-ctl/…`.
#[must_use]
pub fn nameless_paths(workspace: &Path) -> Vec<OsString> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(env::home_dir()?.join(".cargo")));
    let remap = |folder: &Path, name: &str| {
        let mut flag = OsString::from("--remap-path-prefix=");
        flag.push(folder);
        flag.push("=");
        flag.push(name);
        flag
    };
    let home = home.map(|home| remap(&home, "cargo"));
    // rustc names its working directory, which has no `..` in it.
    let workspace = fs::canonicalize(workspace).unwrap_or_else(|_| workspace.to_owned());
    let workspace = remap(&workspace, "snat-ctl");
    home.into_iter().chain([workspace]).collect()
}

impl Toolchain {
    /// Compiles `snat-ebpf`, release profile, and returns the folder where the [`OBJECTS`] are.
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
                "--bins",
                "--target",
                TARGET,
            ])
            .arg("--target-dir")
            .arg(target_dir)
            .env("CARGO_ENCODED_RUSTFLAGS", self.rustflags(workspace))
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
        Ok(folder(target_dir))
    }

    fn cargo(&self) -> Command {
        match self {
            Self::Distribution { .. } => {
                let mut cargo = inner::cargo();
                // Names, not 1: these crates alone may use unstable features (inline assembly for BPF).
                cargo.env("RUSTC_BOOTSTRAP", "aya_ebpf,snat_common,snat_ebpf");
                cargo
            }
            Self::Nightly { .. } => {
                let mut cargo = nightly::command("cargo");
                inner::isolate(&mut cargo).args(["-Z", "build-std=core"]);
                cargo
            }
        }
    }

    fn rustflags(&self, workspace: &Path) -> OsString {
        let mut linker = OsString::from("-Clinker=");
        linker.push(self.linker());
        // CPU v3 (kernel 5.1) has 32-bit registers and jumps; rustc passes it on to the linker. Not LLVM's
        // `allows-misaligned-mem-access`: the verifier allows that for packets, never for the stack.
        let mut flags = vec![
            linker,
            "-Ctarget-cpu=v3".into(),
            "-Cdebuginfo=2".into(),
            "-Clink-arg=--btf".into(),
        ];
        flags.extend(nameless_paths(workspace));
        flags.join(OsStr::new("\x1f"))
    }
}
