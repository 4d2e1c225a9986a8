//! Compiles the BPF objects and leaves them in `OUT_DIR`, for the binary to carry.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::exit,
};

use ebpf_build::{BuildOptions, OBJECTS, Toolchain};

const WATCHED: [&str; 6] = [
    "Cargo.toml",
    "Cargo.lock",
    "snat-ebpf/Cargo.toml",
    "snat-ebpf/src",
    "snat-common/Cargo.toml",
    "snat-common/src",
];

fn main() {
    let workspace = dir("CARGO_MANIFEST_DIR").join("..");
    for path in WATCHED {
        println!("cargo::rerun-if-changed={}", workspace.join(path).display());
    }
    for name in ["SNAT_EBPF_STUB", "CLIPPY_ARGS"] {
        println!("cargo::rerun-if-env-changed={name}");
    }

    let out = dir("OUT_DIR");
    let made = if stub() {
        stubs(&out)
    } else {
        objects(&workspace, &out)
    };
    if let Err(error) = made {
        eprintln!("{error}");
        exit(1);
    }
}

/// Lints read the code that carries the objects, not the objects.
fn stub() -> bool {
    env::var_os("CLIPPY_ARGS").is_some()
        || env::var_os("SNAT_EBPF_STUB").is_some_and(|value| value == "1")
}

fn stubs(out: &Path) -> Result<(), String> {
    OBJECTS.into_iter().try_for_each(|name| {
        fs::write(place(out, name), []).map_err(|error| format!("writing a stub failed: {error}"))
    })
}

fn objects(workspace: &Path, out: &Path) -> Result<(), String> {
    let toolchain =
        Toolchain::find().map_err(|missing| format!("{missing}\nrun: cargo xtask setup"))?;
    println!("cargo::rerun-if-changed={}", toolchain.linker().display());

    let options = BuildOptions {
        workspace,
        target_dir: &ebpf_build::target_dir(out),
    };
    let folder = toolchain
        .build(&options)
        .map_err(|error| error.to_string())?;
    OBJECTS.into_iter().try_for_each(|name| {
        let (object, copy) = (folder.join(name), place(out, name));
        fs::copy(&object, &copy).map(drop).map_err(|error| {
            format!(
                "copying {} to {} failed: {error}",
                object.display(),
                copy.display()
            )
        })
    })
}

fn place(out: &Path, name: &str) -> PathBuf {
    out.join(format!("{name}.o"))
}

fn dir(name: &str) -> PathBuf {
    env::var_os(name)
        .map(PathBuf::from)
        .expect("cargo sets it for build scripts")
}
