//! Programs of others that tests run: on `PATH`, or put into our cache by `cargo xtask setup`.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// The variable that names the cache, for tests that run as another user than the one who filled it.
pub const CACHE: &str = "SNAT_CACHE";

/// The cache's folder with what Debian's package coturn contains.
pub const COTURN: &str = "coturn";
/// The cache's folder with what Debian's package prometheus contains.
pub const PROMETHEUS: &str = "prometheus";
/// The cache's folder with the Python package pystun3.
pub const PYSTUN3: &str = "pystun3-2.0.0";
/// The cache's folder with the Python package grafana-foundation-sdk.
pub const GRAFANA: &str = "grafana-foundation-sdk-1769699998!10.1.0";

/// The cache: what [`CACHE`] says, or the user's.
#[must_use]
pub fn cache() -> Option<PathBuf> {
    env::var_os(CACHE)
        .map(PathBuf::from)
        .or_else(ebpf_build::cache)
}

/// The file of a program. The system's folders count even if the caller's `PATH` lacks them.
pub fn find(program: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let unpacked = [COTURN, PROMETHEUS]
        .into_iter()
        .filter_map(|package| Some(cache()?.join(package).join("usr/bin")));
    env::split_paths(&path)
        .chain(system)
        .chain(unpacked)
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
        .with_context(|| format!("there is no {program} here: run `cargo xtask setup`"))
}

/// The folder Python finds grafana_foundation_sdk in.
pub fn grafana() -> Result<PathBuf> {
    cache()
        .map(|cache| cache.join(GRAFANA))
        .filter(|folder| {
            folder
                .join("grafana_foundation_sdk/models/dashboard.py")
                .is_file()
        })
        .context("there is no grafana-foundation-sdk in the cache: run `cargo xtask setup`")
}

/// The folder Python finds pystun3 in.
pub fn pystun3() -> Result<PathBuf> {
    cache()
        .map(|cache| cache.join(PYSTUN3))
        .filter(|folder| is_pystun3(folder))
        .context("there is no pystun3 in the cache: run `cargo xtask setup`")
}

/// Whether the folder has it.
#[must_use]
pub fn is_pystun3(folder: &Path) -> bool {
    folder.join("stun/cli.py").is_file()
}
