//! A cargo inside a cargo: the inner one must not see what the outer one was told.

use std::{
    env,
    ffi::{OsStr, OsString},
    process::Command,
};

use crate::distribution;

/// The running toolchain's cargo, compiling with the distribution's `rustc`.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    isolate(&mut cargo).env("RUSTC", distribution::RUSTC);
    cargo
}

/// Removes from a cargo's environment whatever would change what it builds, or with what.
pub(crate) fn isolate(cargo: &mut Command) -> &mut Command {
    for (name, _) in env::vars_os().filter(|(name, _)| leaks(name)) {
        cargo.env_remove(name);
    }
    // Empty is "none", and wins over a wrapper in the user's cargo configuration.
    cargo
        .env("RUSTC_WRAPPER", "")
        .env("RUSTC_WORKSPACE_WRAPPER", "")
}

/// What tells cargo how to reach the registry is kept.
fn leaks(name: &OsStr) -> bool {
    const KEEP: [&str; 5] = [
        "CARGO_HOME",
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_REGISTR",
        "CARGO_SOURCE_",
    ];
    const COMPILER: [&str; 4] = ["CARGO", "RUSTC", "RUSTFLAGS", "RUSTDOC"];
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
    let starts = |list: &[&str]| list.iter().any(|start| name.starts_with(start));
    !starts(&KEEP) && (starts(&COMPILER) || starts(&["DEP_"]) || BUILD_SCRIPT.contains(&name))
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
