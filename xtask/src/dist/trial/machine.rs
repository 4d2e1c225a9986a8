//! A host that systemd has booted, inside one of the lab's network namespaces.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::signal::{Signal::SIGKILL, kill},
    unistd::Pid,
};
use snat_tests::{
    cgroup::Cgroup,
    netns::{Netns, output},
    wait,
};

const BOOTED: Duration = Duration::from_secs(60);
const EMPTIED: Duration = Duration::from_secs(10);
/// systemd may write to what is below this process's cgroup, and sees nothing above it.
const IN_A_CGROUP_OF_ITS_OWN: &str = "umount /sys/fs/cgroup \
     && mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec systemd-nspawn \"$@\"";
/// As a virtual machine has it: every capability, its own sysctls, the BPF file system.
const AS_A_MACHINE: [&str; 9] = [
    "--boot",
    "--quiet",
    "--register=no",
    "--keep-unit",
    "--capability=all",
    "--system-call-filter=bpf",
    "--bind=/sys/fs/bpf",
    "--resolv-conf=off",
    "--console=pipe",
];

/// It ends when dropped.
pub(super) struct Machine {
    /// Its first process, as seen from here.
    init: Pid,
    root: PathBuf,
    _container: Container,
}

impl Machine {
    /// Boots what is in the folder `root`, and waits until all its services are up.
    pub(super) fn boot(root: &Path, netns: &Netns) -> Result<Self> {
        let mut container = Container::start(root, netns)?;
        let init = wait::until(BOOTED, "systemd boots", || container.init())?;
        let machine = Self {
            init,
            root: root.to_owned(),
            _container: container,
        };
        wait::until(BOOTED, "all services are up", || {
            let state = machine.try_run("systemctl is-system-running")?;
            let state = String::from_utf8_lossy(&state.stdout).trim().to_owned();
            ensure!(state == "running", "systemd says {state:?}");
            Ok(())
        })?;
        Ok(machine)
    }

    /// Its root folder, as seen from here.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Runs a command line (split at spaces) and returns what it printed.
    pub(super) fn run(&self, line: &str) -> Result<String> {
        output(&mut self.command(line))
    }

    /// As [`Machine::run`], for a command that may fail.
    pub(super) fn try_run(&self, line: &str) -> Result<Output> {
        self.command(line)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("starting `{line}` in the machine failed"))
    }

    /// The process of `snat-ctl run` by its number in the machine; `None` where it does not run.
    pub(super) fn daemon(&self) -> Result<Option<u32>> {
        let text = self.run("systemctl show --property MainPID --value snat-ctl")?;
        let process = text.trim().parse()?;
        Ok((process != 0).then_some(process))
    }

    /// Whether the unit is enabled, and active, in systemd's words.
    pub(super) fn unit(&self) -> Result<[String; 2]> {
        let ask = |what: &str| -> Result<String> {
            let output = self.try_run(&format!("systemctl {what} snat-ctl"))?;
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        Ok([ask("is-enabled")?, ask("is-active")?])
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--all", "--target", &self.init.to_string(), "--"])
            .args(line.split_whitespace())
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C.UTF-8");
        command
    }
}

/// systemd-nspawn, and the cgroup that all of it is in.
struct Container {
    child: Child,
    cgroup: Cgroup,
}

impl Container {
    fn start(root: &Path, netns: &Netns) -> Result<Self> {
        let cgroup = Cgroup::join()?;
        let child = Command::new("unshare")
            .args(["--cgroup", "--mount", "sh", "-c", IN_A_CGROUP_OF_ITS_OWN])
            .arg("systemd-nspawn")
            .args(AS_A_MACHINE)
            .arg(format!(
                "--network-namespace-path={}",
                netns.path().display()
            ))
            .arg(format!("--directory={}", root.display()))
            .env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "yes")
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("starting systemd-nspawn failed")?;
        Ok(Self { child, cgroup })
    }

    /// The first process inside.
    fn init(&mut self) -> Result<Pid> {
        if let Some(status) = self.child.try_wait()? {
            bail!("systemd-nspawn ended ({status})");
        }
        let process = self.child.id();
        let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"))?;
        let first = children.split_whitespace().next().context("no child")?;
        let name = fs::read_to_string(format!("/proc/{first}/comm"))?;
        ensure!(name.trim() == "systemd", "its child is {name:?}");
        Ok(Pid::from_raw(first.parse()?))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // All inside end with their first, and that does not end with systemd-nspawn.
        if let Ok(init) = self.init() {
            kill(init, SIGKILL).ok();
        }
        self.child.kill().ok();
        self.child.wait().ok();
        let emptied = wait::until(EMPTIED, "its cgroups are removed", || {
            below(self.cgroup.path())
        });
        if let Err(error) = emptied {
            eprintln!("leaving cgroups behind: {error:#}");
        }
    }
}

/// Removes all cgroups below one.
fn below(cgroup: &Path) -> Result<()> {
    for entry in fs::read_dir(cgroup)? {
        let path = entry?.path();
        if path.is_dir() {
            below(&path)?;
            fs::remove_dir(&path).with_context(|| format!("removing {}", path.display()))?;
        }
    }
    Ok(())
}
