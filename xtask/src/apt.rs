//! Debian's and Ubuntu's packages, installed as root or through a `sudo` that asks for no password.

use std::{
    fs,
    io::{IsTerminal, stderr},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::Uid;

use crate::cargo;

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

    /// Unpacks a package into the folder `into`, and installs the libraries that its programs need. Nothing of it is
    /// registered, started or run.
    pub(crate) fn unpack(&self, package: &str, into: &Path) -> Result<()> {
        let folder = into.with_extension("partial");
        let at = || format!("unpacking {package} in {}", folder.display());
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(at)?;
        }
        fs::create_dir_all(&folder).with_context(at)?;
        if download(package, &folder).is_err() {
            self.update()?;
            download(package, &folder)?;
        }
        let mut files = fs::read_dir(&folder).with_context(at)?;
        let file = files.next().context("no package came")?.with_context(at)?;
        let depends = Command::new("dpkg-deb")
            .arg("--field")
            .arg(file.path())
            .arg("Depends")
            .output()
            .with_context(at)?;
        self.apt_get(&[
            "satisfy",
            "--yes",
            "--no-install-recommends",
            "--no-remove",
            &libraries(&String::from_utf8_lossy(&depends.stdout)),
        ])?;
        let root = folder.join("root");
        let mut extract = Command::new("dpkg-deb");
        cargo::run(extract.arg("--extract").arg(file.path()).arg(&root))?;
        if into.exists() {
            fs::remove_dir_all(into).with_context(at)?;
        }
        fs::rename(root, into).with_context(at)?;
        fs::remove_dir_all(&folder).with_context(at)
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

fn download(package: &str, folder: &Path) -> Result<()> {
    let mut apt_get = Command::new("apt-get");
    apt_get.args(["download", "--quiet=2", package]);
    // It warns root that it has not become somebody else.
    apt_get.current_dir(folder).stderr(Stdio::null());
    cargo::run(&mut apt_get)
}

/// Those of a package's dependencies that its programs are linked against. A `libjs-` is for web pages.
fn libraries(depends: &str) -> String {
    let libraries = depends
        .trim()
        .split(", ")
        .filter(|one| one.starts_with("lib") && !one.starts_with("libjs-"));
    libraries.collect::<Vec<_>>().join(", ")
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
    use super::{libraries, parse_candidate};

    #[test]
    fn of_the_dependencies_only_libraries_are_installed() {
        let depends = "adduser, libjs-jquery (>= 3.5.1~), telnet | telnet-client, libc6 (>= 2.34), libssl3 (>= 3.0.0)\n";
        assert_eq!(libraries(depends), "libc6 (>= 2.34), libssl3 (>= 3.0.0)");
    }

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
