//! Network namespaces that exist as long as their handle does.

use std::{
    ffi::OsStr,
    fs::{self, File},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sched::{CloneFlags, setns};

const RUN: &str = "/run/netns";

/// A named network namespace, deleted when dropped.
#[derive(Debug)]
pub struct Netns {
    name: String,
    attached: Mutex<Vec<OwnedFd>>,
}

impl Netns {
    /// Makes the namespace `name`, which must start with `snat-`, with loopback up, IPv6 off (its
    /// chatter would only blur captures) and ICMP sockets open to the caller.
    pub fn create(name: &str) -> Result<Self> {
        ensure!(
            name.starts_with("snat-"),
            "namespace name {name:?} must start with \"snat-\""
        );
        if Path::new(RUN).join(name).exists() {
            bail!(
                "namespace {name} exists already: another lab runs, or remove it with `ip netns del {name}`"
            );
        }
        output(Command::new("ip").args(["netns", "add", name]))?;
        let netns = Self {
            name: name.to_owned(),
            attached: Mutex::default(),
        };
        netns.ip("link set lo up")?;
        netns.sysctl("net/ipv6/conf/all/disable_ipv6", "1")?;
        netns.sysctl("net/ipv6/conf/default/disable_ipv6", "1")?;
        netns.sysctl("net/ipv4/ping_group_range", "0 2147483647")?;
        Ok(netns)
    }

    /// Turns IPv6 on, also for interfaces to come. An address counts at once (no duplicate address detection), and
    /// nothing asks for routers or takes what they say.
    pub fn with_ipv6(self) -> Result<Self> {
        for of in ["all", "default", "lo"] {
            for key in ["accept_dad", "accept_ra", "router_solicitations"] {
                self.sysctl(&format!("net/ipv6/conf/{of}/{key}"), "0")?;
            }
            self.sysctl(&format!("net/ipv6/conf/{of}/disable_ipv6"), "0")?;
        }
        Ok(self)
    }

    /// The name, as `ip netns` lists it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Keeps a BPF link attached for as long as the namespace lives.
    pub fn keep(&self, link: OwnedFd) {
        let mut attached = self.attached.lock().unwrap_or_else(PoisonError::into_inner);
        attached.push(link);
    }

    /// The file that stands for the namespace.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        Path::new(RUN).join(&self.name)
    }

    /// Runs `body` on a thread of its own inside the namespace: sockets it opens belong there for good.
    pub fn enter<T: Send>(&self, body: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        thread::scope(|scope| {
            scope
                .spawn(|| {
                    join(&self.path())?;
                    body()
                })
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// As [`Netns::enter`], but does not wait for the thread.
    pub fn spawn_thread<T: Send + 'static>(
        &self,
        body: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> thread::JoinHandle<Result<T>> {
        let path = self.path();
        thread::spawn(move || {
            join(&path)?;
            body()
        })
    }

    /// A command that will run inside. Not by `ip netns exec`, which hides bpffs under a fresh `/sys`.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        command(&self.name, program)
    }

    /// Runs a command line (split at spaces) inside and returns what it printed.
    pub fn run(&self, line: &str) -> Result<String> {
        let mut words = line.split_whitespace();
        let program = words.next().context("empty command line")?;
        output(self.command(program).args(words))
    }

    /// Runs `ip` commands inside, one a line, in a single process; stops at the first that fails.
    pub fn ip(&self, lines: &str) -> Result<()> {
        feed(
            Command::new("ip").args(["-n", &self.name, "-batch", "-"]),
            lines,
        )
    }

    /// Loads an nftables ruleset inside.
    pub fn nft(&self, ruleset: &str) -> Result<()> {
        feed(self.command("nft").args(["-f", "-"]), ruleset)
    }

    /// Writes `value` to `/proc/sys/<key>` of the namespace.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        self.enter(|| {
            fs::write(Path::new("/proc/sys").join(key), value)
                .with_context(|| format!("setting {key} to {value:?} in {}", self.name))
        })
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        if let Err(error) = output(Command::new("ip").args(["netns", "del", &self.name])) {
            eprintln!("leaving namespace {} behind: {error:#}", self.name);
        }
    }
}

/// As [`Netns::command`], for whoever has only the name.
pub fn command(netns: &str, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--net={RUN}/{netns}"))
        .arg("--")
        .arg(program);
    command
}

/// Runs `command` to its end and returns its standard output; an error carries what it said.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn feed(command: &mut Command, input: &str) -> Result<()> {
    use std::io::Write as _;
    let mut child = command
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {command:?}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin
            .write_all(input.as_bytes())
            .with_context(|| format!("writing to {command:?}"))?;
    }
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "{command:?} ended with {}: {}\ninput was:\n{input}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

fn join(path: &Path) -> Result<()> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    setns(file, CloneFlags::CLONE_NEWNET)
        .with_context(|| format!("setns into {} (are you root?)", path.display()))
}
