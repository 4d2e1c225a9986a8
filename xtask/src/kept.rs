//! Programs of the tests that no package may simply install: they are put into our cache.
//!
//! The packages coturn and prometheus start servers on the machine and again at every boot, so they are only unpacked.
//! pystun3 and Grafana's own types come from Python's registry, pinned by version and hash.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};
use snat_tests::program;

use crate::{apt::Apt, cargo};

/// One of them.
pub(crate) struct Kept {
    /// Its name.
    pub(crate) name: &'static str,
    /// What a person runs to get it.
    pub(crate) command: String,
    why: &'static str,
    from: From,
}

enum From {
    /// This package, into this folder of the cache.
    Package(&'static str, &'static str),
    /// This file of `tests/tools`, into this folder of the cache.
    Python(&'static str, &'static str),
}

/// Those that are not on this machine.
pub(crate) fn missing() -> Vec<Kept> {
    let absent = |names: [&str; 2]| names.iter().any(|name| program::find(name).is_err());
    let nat = "what kind of NAT is this?";
    let mut missing = Vec::new();
    if absent(["turnserver", "turnutils_natdiscovery"]) {
        missing.push(package("coturn", program::COTURN, nat));
    }
    if absent(["prometheus", "promtool"]) {
        let why = "does it read the metrics, and what does it make of them?";
        missing.push(package("prometheus", program::PROMETHEUS, why));
    }
    if program::pystun3().is_err() {
        missing.push(python("pystun3", program::PYSTUN3, nat));
    }
    if program::grafana().is_err() {
        let why = "is the dashboard one by Grafana's own types?";
        missing.push(python("grafana", program::GRAFANA, why));
    }
    missing
}

impl Kept {
    /// Installs it.
    pub(crate) fn install(&self, apt: &Apt) -> Result<()> {
        eprintln!("getting {}: {}", self.name, self.why);
        match self.from {
            From::Package(package, folder) => apt.unpack(package, &cached(folder)?),
            From::Python(file, folder) => cargo::run(&mut pip(file, folder)?),
        }
    }
}

fn package(name: &'static str, folder: &'static str, why: &'static str) -> Kept {
    Kept {
        name,
        // Where we are not to install anything, a person has to choose.
        command: format!("sudo apt-get install {name} && sudo systemctl disable --now {name}"),
        why,
        from: From::Package(name, folder),
    }
}

fn python(name: &'static str, folder: &'static str, why: &'static str) -> Kept {
    let pip = pip(name, folder).map(|command| cargo::line(&command));
    Kept {
        name,
        command: pip.unwrap_or_else(|error| format!("nothing: {error:#}")),
        why,
        from: From::Python(name, folder),
    }
}

fn pip(name: &str, folder: &str) -> Result<Command> {
    let requirement = format!("tests/tools/{name}.txt");
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--no-deps"])
        .args(["--disable-pip-version-check", "--only-binary", ":all:"])
        .args(["--upgrade", "--require-hashes", "--requirement"])
        .arg(cargo::workspace().join(requirement))
        .arg("--target")
        .arg(cached(folder)?)
        // A word of caution to root, who installs into a folder of our own here.
        .env("PIP_ROOT_USER_ACTION", "ignore");
    Ok(pip)
}

fn cached(name: &str) -> Result<PathBuf> {
    let cache = program::cache().context("there is no place for a cache: set HOME")?;
    Ok(cache.join(name))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_folders_of_python_packages_say_the_versions_that_pip_is_told() {
        for (name, folder) in [("pystun3", program::PYSTUN3), ("grafana", program::GRAFANA)] {
            let file = cargo::workspace().join(format!("tests/tools/{name}.txt"));
            let text = fs::read_to_string(file).unwrap();
            let (_, version) = folder.rsplit_once('-').unwrap();
            assert!(text.contains(&format!("{version} --hash")), "{text}");
        }
    }
}
