//! The Debian package of a [`Stage`], by Debian's own `dpkg-deb`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{
    DEBIAN, emptied, said,
    stage::{Stage, write},
};
use crate::cargo;

/// dpkg runs these.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// A built package.
pub(crate) struct Package {
    /// The file.
    pub(crate) file: PathBuf,
    /// Its version.
    pub(crate) version: String,
}

/// Builds it into `folder`.
pub(super) fn build(stage: &Stage, version: &str, folder: &Path) -> Result<Package> {
    build_as(stage, version, folder, "xz")
}

fn build_as(stage: &Stage, version: &str, folder: &Path, compression: &str) -> Result<Package> {
    let architecture = said(Command::new("dpkg").arg("--print-architecture"))?;
    let architecture = architecture.trim();
    control(stage, version, architecture)?;
    fs::create_dir_all(folder).with_context(|| format!("creating {} failed", folder.display()))?;
    let file = folder.join(format!("snat-ctl_{version}_{architecture}.deb"));
    let mut build = Command::new("dpkg-deb");
    build
        .args(["--root-owner-group", "-Z", compression, "--build"])
        .arg(&stage.root)
        .arg(&file)
        .env("SOURCE_DATE_EPOCH", stage.time.to_string());
    said(&mut build)?;
    Ok(Package {
        file,
        version: version.to_owned(),
    })
}

/// What dpkg reads of the package before its files.
fn control(stage: &Stage, version: &str, architecture: &str) -> Result<()> {
    let folder = stage.root.join("DEBIAN");
    emptied(&folder)?;
    let source = cargo::workspace().join(DEBIAN);
    let text = |name: &str| {
        let path = source.join(name);
        fs::read_to_string(&path).with_context(|| format!("reading {} failed", path.display()))
    };
    let (sums, kilobytes) = listed(&stage.root)?;
    let control = text("control")?
        .replace("@VERSION@", version)
        .replace("@ARCHITECTURE@", architecture)
        .replace("@INSTALLED_SIZE@", &kilobytes.to_string());
    write(&folder.join("control"), &control, 0o644)?;
    write(&folder.join("conffiles"), &text("conffiles")?, 0o644)?;
    write(&folder.join("md5sums"), &sums, 0o644)?;
    for script in SCRIPTS {
        write(&folder.join(script), &text(script)?, 0o755)?;
    }
    Ok(())
}

/// The lines of `md5sums`, which leave out what the host's owner may change; and how much room all files take.
fn listed(root: &Path) -> Result<(String, u64)> {
    let mut sizes = BTreeMap::new();
    walk(root, root, &mut sizes)?;
    let kilobytes = sizes.values().map(|bytes| bytes.div_ceil(1024)).sum();
    let fixed = sizes.keys().filter(|path| !path.starts_with("etc"));
    let sums = said(Command::new("md5sum").args(fixed).current_dir(root))?;
    Ok((sums, kilobytes))
}

fn walk(root: &Path, folder: &Path, sizes: &mut BTreeMap<PathBuf, u64>) -> Result<()> {
    let reading = || format!("reading {} failed", folder.display());
    for entry in fs::read_dir(folder).with_context(reading)? {
        let path = entry.with_context(reading)?.path();
        let relative = path.strip_prefix(root)?;
        if relative == Path::new("DEBIAN") {
            continue;
        }
        if path.is_dir() {
            walk(root, &path, sizes)?;
        } else {
            sizes.insert(relative.to_owned(), path.metadata()?.len());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, process::Command};

    use snat_tests::gateway;

    use super::*;

    #[test]
    fn the_package_has_what_is_promised_and_the_same_source_gives_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let program = gateway::program().unwrap();
        let mut built = Vec::new();
        for place in ["first", "second"] {
            let root = folder.path().join(place);
            let stage = Stage::make(&program, &root, 1_700_000_000).unwrap();
            let package = build_as(&stage, "1.2.3", &folder.path().join(place), "none");
            built.push(package.unwrap().file);
        }
        let [first, second] = [&built[0], &built[1]].map(|file| fs::read(file).unwrap());
        assert!(first == second, "two builds differ");

        let list = said(Command::new("dpkg-deb").arg("--contents").arg(&built[0])).unwrap();
        let files: BTreeSet<_> = list
            .lines()
            .filter_map(|line| line.split_whitespace().last())
            .collect();
        for wanted in [
            "./usr/bin/snat-ctl",
            "./usr/lib/systemd/system/snat-ctl.service",
            "./etc/snat/snat.toml",
            "./etc/logrotate.d/snat",
            "./usr/share/bash-completion/completions/snat-ctl",
            "./usr/share/zsh/vendor-completions/_snat-ctl",
            "./usr/share/fish/vendor_completions.d/snat-ctl.fish",
            "./usr/share/man/man1/snat-ctl.1.gz",
            "./usr/share/man/man1/snat-ctl-flows.1.gz",
            "./usr/share/doc/snat-ctl/copyright",
            "./usr/share/doc/snat-ctl/docs/guides/aws.md",
            "./usr/share/doc/snat-ctl/examples/grafana-dashboard.json",
            "./usr/share/doc/snat-ctl/examples/alerts.yml",
        ] {
            assert!(files.contains(wanted), "{wanted} is missing: {list}");
        }
        assert!(
            list.lines().all(|line| line.contains(" root/root ")),
            "{list}"
        );
    }

    #[test]
    fn what_dpkg_runs_is_a_shells_and_the_unit_is_systemds() {
        let source = cargo::workspace().join(DEBIAN);
        for script in SCRIPTS {
            said(Command::new("sh").arg("-n").arg(source.join(script))).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let unit = fs::read_to_string(source.join("../snat-ctl.service")).unwrap();
        // Not installed here, and systemd looks for it.
        let unit = unit.replace("/usr/bin/snat-ctl", "/bin/true");
        let file = folder.path().join("snat-ctl.service");
        fs::write(&file, unit).unwrap();
        let mut verify = Command::new("systemd-analyze");
        let output = verify.args(["--man=no", "verify"]).arg(&file).output();
        let said = String::from_utf8(output.unwrap().stderr).unwrap();
        assert!(!said.contains("snat-ctl.service"), "{said}");
    }
}
