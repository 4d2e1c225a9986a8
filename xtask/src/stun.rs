//! The STUN clients of the tests that no package may simply install: they are put into our cache.
//!
//! coturn's package starts a server on all addresses of the machine and again at every boot, so it is only
//! unpacked. pystun3 comes from Python's registry, pinned by version and hash.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};
use snat_tests::program;

use crate::{apt::Apt, cargo};

/// One of them.
pub(crate) struct Client {
    /// Its name.
    pub(crate) name: &'static str,
    /// What a person runs to get it.
    pub(crate) command: String,
    install: fn(&Apt) -> Result<()>,
}

/// Those that are not on this machine.
pub(crate) fn missing() -> Vec<Client> {
    let mut missing = Vec::new();
    let coturn = ["turnserver", "turnutils_natdiscovery"];
    if coturn.iter().any(|name| program::find(name).is_err()) {
        missing.push(Client {
            name: "coturn",
            // Where we are not to install anything, a person has to choose.
            command: "sudo apt-get install coturn && sudo systemctl disable --now coturn".into(),
            install: unpack_coturn,
        });
    }
    if program::pystun3().is_err() {
        let pip = pip().map(|command| cargo::line(&command));
        missing.push(Client {
            name: "pystun3",
            command: pip.unwrap_or_else(|error| format!("nothing: {error:#}")),
            install: |_| install_pystun3(),
        });
    }
    missing
}

impl Client {
    /// Installs it.
    pub(crate) fn install(&self, apt: &Apt) -> Result<()> {
        eprintln!("getting {}: what kind of NAT is this?", self.name);
        (self.install)(apt)
    }
}

fn unpack_coturn(apt: &Apt) -> Result<()> {
    apt.unpack("coturn", &cached(program::COTURN)?)
}

fn install_pystun3() -> Result<()> {
    cargo::run(&mut pip()?)
}

fn pip() -> Result<Command> {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--no-deps"])
        .args(["--disable-pip-version-check", "--only-binary", ":all:"])
        .args(["--upgrade", "--require-hashes", "--requirement"])
        .arg(cargo::workspace().join("tests/tools/pystun3.txt"))
        .arg("--target")
        .arg(cached(program::PYSTUN3)?)
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
    fn the_folder_of_pystun3_says_the_version_that_pip_is_told() {
        let file = cargo::workspace().join("tests/tools/pystun3.txt");
        let pinned = program::PYSTUN3.replace('-', "==");
        let text = fs::read_to_string(file).unwrap();
        assert!(text.contains(&format!("\n{pinned} ")), "{text}");
    }
}
