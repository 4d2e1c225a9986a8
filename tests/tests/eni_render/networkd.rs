//! systemd-networkd itself, in a namespace: with folders of its own, no bus and no udev.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};
use snat_ctl::eni::render;
use snat_tests::{netns::Netns, wait::until};
use tempfile::TempDir;

const PROGRAM: &str = "/lib/systemd/systemd-networkd";
const FILES: &str = "/etc/systemd/network";

/// In a private mount namespace: `$1` becomes the folder of its files. networkd waits for udev where `/sys` can be
/// written, and without its folders in `/run` it ends.
const START: &str = "
    set -e
    mount -t tmpfs none /run/systemd
    mkdir -p /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp
    chown -R systemd-network: /run/systemd/netif
    mount -t sysfs -o ro none /sys
    mount --bind \"$1\" /etc/systemd/network
    exec /lib/systemd/systemd-networkd
";

/// Ends when dropped.
pub(crate) struct Networkd {
    child: Child,
    folder: TempDir,
}

impl Networkd {
    /// Starts it on rendered files, and others by their names.
    pub(crate) fn start(
        host: &Netns,
        files: &[render::File],
        own: &[(String, String)],
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let network = folder.path().join("network");
        fs::create_dir(&network)?;
        for file in files {
            let path = Path::new(&file.path).strip_prefix(FILES)?;
            write(&network.join(path), &file.text)?;
        }
        for (name, text) in own {
            write(&network.join(name), text)?;
        }
        open_to_all(folder.path())?;
        fs::create_dir_all("/run/systemd")?;
        let log = File::create(folder.path().join("log"))?;
        let child = host
            .command("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", START, "sh"])
            .arg(&network)
            // Without these it would be the machine's.
            .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent")
            .env_remove("NOTIFY_SOCKET")
            .env("SYSTEMD_LOG_TARGET", "console")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {PROGRAM}"))?;
        Ok(Self { child, folder })
    }

    /// Waits for what it should lead to; an error comes with its log.
    pub(crate) fn settled(&self, check: impl FnMut() -> Result<()>) -> Result<()> {
        until(Duration::from_secs(15), "networkd settles", check)
            .with_context(|| fs::read_to_string(self.folder.path().join("log")).unwrap_or_default())
    }
}

impl Drop for Networkd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// It reads them as a user of its own.
fn open_to_all(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}
