//! rustup's nightly: `core` for BPF is built from the `rust-src` component with `-Z build-std`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    linker,
    missing::Want,
    rustc::{Rustc, stdout},
};

/// `program` of the nightly toolchain, whatever toolchain this process was started with.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", program]);
    command
}

pub(crate) fn find() -> Result<(Rustc, PathBuf), Vec<Want>> {
    let rustc = Rustc::ask(&mut command("rustc"));
    let sources = stdout(command("rustc").args(["--print", "sysroot"])).is_some_and(|sysroot| {
        Path::new(sysroot.trim())
            .join("lib/rustlib/src/rust/library/core")
            .is_dir()
    });
    let linker = rustc
        .as_ref()
        .and_then(|rustc| linker::cached(rustc.llvm))
        .or_else(linker::on_path);

    match (rustc, sources, linker) {
        (Some(rustc), true, Some(linker)) => Ok((rustc, linker)),
        (rustc, sources, linker) => Err(wants(rustc.is_some() && sources, linker.is_some())),
    }
}

fn wants(compiler: bool, linker: bool) -> Vec<Want> {
    let mut wants = Vec::new();
    if !compiler {
        wants.push(Want {
            what: "a nightly rustc with the sources of core".into(),
            get: "rustup toolchain install nightly --profile minimal --component rust-src".into(),
        });
    }
    if !linker {
        wants.push(Want {
            what: "bpf-linker on PATH (a prebuilt one, which carries its own LLVM)".into(),
            get: "cargo install cargo-binstall && cargo binstall bpf-linker".into(),
        });
    }
    wants
}
