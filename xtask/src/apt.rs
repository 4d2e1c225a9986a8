//! Debian's and Ubuntu's packages, installed as root or through a `sudo` that asks for no password.

use std::{
    io::{IsTerminal, stderr},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::Uid;

/// A package manager we may use.
pub(crate) struct Apt {
    sudo: bool,
}

impl Apt {
    /// Finds out whether packages can be installed here.
    ///
    /// # Errors
    ///
    /// There is no `apt-get`, or we are neither root nor may become it.
    pub(crate) fn find() -> Result<Self> {
        ensure!(
            Path::new("/usr/bin/apt-get").exists(),
            "this is no Debian or Ubuntu: there is no apt-get"
        );
        if Uid::effective().is_root() {
            return Ok(Self { sudo: false });
        }
        let asked = Command::new("sudo")
            .args(["-n", "true"])
            .stderr(Stdio::null())
            .status();
        ensure!(
            asked.is_ok_and(|status| status.success()),
            "installing packages needs root, or sudo without a password"
        );
        Ok(Self { sudo: true })
    }

    /// Installs `packages`; says so and `why` first. Removes nothing that is there.
    pub(crate) fn install(&self, packages: &[&str], why: &str) -> Result<()> {
        eprintln!("installing {}: {why}", packages.join(" "));
        if packages.iter().any(|package| candidate(package).is_none()) {
            self.update()?;
        } else if self.try_install(packages).is_ok() {
            return Ok(());
        } else {
            // The lists may be older than the archive: what they name is gone.
            self.update()?;
        }
        self.try_install(packages)
    }

    /// Checks that a package's newest version will do, with fresh lists if the known one does not.
    pub(crate) fn require(&self, package: &str, will_do: fn(&str) -> bool) -> Result<()> {
        if candidate(package).is_some_and(|version| will_do(&version)) {
            return Ok(());
        }
        self.update()?;
        match candidate(package) {
            Some(version) if will_do(&version) => Ok(()),
            Some(version) => bail!("package {package} is too old here ({version})"),
            None => bail!("there is no package {package} here"),
        }
    }

    fn update(&self) -> Result<()> {
        eprintln!("fetching the package lists: they lack something or are out of date");
        self.apt_get(&["update"])
    }

    fn try_install(&self, packages: &[&str]) -> Result<()> {
        let options = ["install", "--yes", "--no-install-recommends", "--no-remove"];
        self.apt_get(&[&options, packages].concat())
    }

    fn apt_get(&self, args: &[&str]) -> Result<()> {
        let mut command = if self.sudo {
            Command::new("sudo")
        } else {
            Command::new("env")
        };
        if self.sudo {
            command.args(["-n", "env"]);
        }
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        // A fresh machine may still be installing its updates.
        command.args(["-o", "DPkg::Lock::Timeout=300"]);
        // A person watches the progress; a log needs only what went wrong. Standard output is the verb's.
        let progress = if stderr().is_terminal() {
            stderr().into()
        } else {
            Stdio::null()
        };
        let what = format!("apt-get {}", args.join(" "));
        let status = command
            .args(args)
            .stdin(Stdio::null())
            .stdout(progress)
            .status();
        let status = status.with_context(|| format!("starting {what} failed"))?;
        ensure!(status.success(), "{what} failed ({status})");
        Ok(())
    }
}

/// The version that would be installed.
fn candidate(package: &str) -> Option<String> {
    let output = Command::new("apt-cache")
        .args(["policy", package])
        .env("LC_ALL", "C")
        .output()
        .ok()?;
    parse_candidate(&String::from_utf8_lossy(&output.stdout))
}

fn parse_candidate(policy: &str) -> Option<String> {
    let version = policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate:"))?
        .trim();
    (version != "(none)").then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse_candidate;

    #[test]
    fn the_candidate_version_is_read_from_the_policy() {
        let policy =
            "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1\n  Version table:\n";
        assert_eq!(parse_candidate(policy).as_deref(), Some("1.96.0+dfsg1-1"));
    }

    #[test]
    fn a_package_without_candidate_cannot_be_installed() {
        assert_eq!(
            parse_candidate("x:\n  Installed: (none)\n  Candidate: (none)\n"),
            None
        );
        assert_eq!(parse_candidate(""), None);
    }
}
