//! The distribution's compiler: Debian and Ubuntu package a `rustc` with a prebuilt `core` for BPF.
//!
//! cargo is told to use it by `RUSTC`, so neither the distribution's cargo nor a linked rustup toolchain is
//! needed.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    linker,
    missing::Want,
    rustc::{Rustc, has_core, stdout},
};

/// Where the packaged compiler is; rustup's proxies live elsewhere.
pub const RUSTC: &str = "/usr/bin/rustc";

/// Packages of the compiler and of its `core` for BPF.
pub const PACKAGES: [&str; 2] = ["rustc-web", "libstd-rust-web-dev-bpf"];

/// The oldest compiler that builds this workspace.
pub const MIN_RUSTC: &str = env!("CARGO_PKG_RUST_VERSION");

/// The packaged compiler, if it is new enough and has a `core` for BPF.
#[must_use]
pub fn rustc() -> Option<Rustc> {
    let rustc = Rustc::ask(&mut Command::new(RUSTC)).filter(|rustc| rustc.at_least(MIN_RUSTC))?;
    let libs = stdout(Command::new(RUSTC).args([
        "--print",
        "target-libdir",
        "--target",
        crate::compile::TARGET,
    ]))?;
    has_core(Path::new(libs.trim())).then_some(rustc)
}

/// Whether a version of [`PACKAGES`], as the package manager writes it, is one we can build with.
#[must_use]
pub fn new_enough(version: &str) -> bool {
    Rustc {
        release: version.to_owned(),
        llvm: 0,
    }
    .at_least(MIN_RUSTC)
}

pub(crate) fn find() -> Result<(Rustc, PathBuf), Vec<Want>> {
    let Some(rustc) = rustc() else {
        return Err(vec![
            Want {
                what: format!("a packaged rustc, {MIN_RUSTC} or newer, with core for BPF"),
                get: format!("sudo apt-get install {}", PACKAGES.join(" ")),
            },
            Want {
                what: "bpf-linker for that rustc's LLVM".into(),
                get: "cargo xtask setup".into(),
            },
        ]);
    };
    match linker::cached(rustc.llvm) {
        Some(linker) => Ok((rustc, linker)),
        None => Err(linker::wants(rustc.llvm)),
    }
}
