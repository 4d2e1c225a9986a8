//! The gateway under test: `snat-ctl run` in its namespace, or the kernel's own NAT to compare with.

mod build;
mod environment;

use std::{
    env,
    ffi::OsString,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

pub use self::build::other_build;
use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::{
        signal::{Signal, kill},
        statfs::{BPF_FS_MAGIC, statfs},
    },
    unistd::Pid,
};
use tempfile::NamedTempFile;

use crate::{
    netns::{command, output},
    topology::Topology,
    wait,
};

/// Loading, verifying and attaching take a second or two; a busy machine gets its time.
const READY: Duration = Duration::from_secs(30);

/// A running `snat-ctl run`, together with everything that instance owns in the kernel: dropping it
/// unloads.
pub struct Gateway {
    program: PathBuf,
    netns: String,
    name: String,
    config: NamedTempFile,
    arguments: Vec<String>,
    environment: Vec<(&'static str, OsString)>,
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Gateway {
    /// Starts it and waits until it says it is ready. `name` is the instance and must be unique
    /// among all that run.
    pub fn start(topology: &Topology, name: &str, datapath: &str) -> Result<Self> {
        Self::start_with(topology, name, &config(topology, name, datapath))
    }

    /// As [`Gateway::start`], with the text of the configuration.
    pub fn start_with(topology: &Topology, name: &str, config: &str) -> Result<Self> {
        Self::start_args(topology, name, config, &[])
    }

    /// As [`Gateway::start_with`], with more arguments for `snat-ctl run`.
    pub fn start_args(
        topology: &Topology,
        name: &str,
        config: &str,
        arguments: &[&str],
    ) -> Result<Self> {
        Self::start_in(topology.gateway.netns.name(), name, config, arguments)
    }

    /// As [`Gateway::start_args`], in the namespace of this name.
    pub fn start_in(netns: &str, name: &str, config: &str, arguments: &[&str]) -> Result<Self> {
        ensure!(
            statfs("/sys/fs/bpf").is_ok_and(|fs| fs.filesystem_type() == BPF_FS_MAGIC),
            "/sys/fs/bpf is no BPF file system: run this through `cargo xtask`, which makes one of its own"
        );
        let program = program()?;
        let mut file = NamedTempFile::with_suffix(".toml")?;
        file.write_all(config.as_bytes())?;
        let arguments: Vec<_> = arguments.iter().copied().map(str::to_owned).collect();
        let (child, ready, log) = spawn(command(netns, &program), file.path(), &arguments)?;
        let mut gateway = Self {
            program,
            netns: netns.to_owned(),
            name: name.to_owned(),
            config: file,
            arguments,
            environment: Vec::new(),
            child,
            log,
        };
        gateway.await_ready(&ready)?;
        Ok(gateway)
    }

    /// Starts the daemon anew after [`Gateway::stop`] or [`Gateway::kill`].
    pub fn start_again(&mut self) -> Result<()> {
        let (child, ready, log) = spawn(self.command(), self.config.path(), &self.arguments)?;
        (self.child, self.log) = (child, log);
        self.await_ready(&ready)
    }

    /// From the next [`Gateway::start_again`] on, it is started with these more arguments.
    pub fn set_arguments(&mut self, arguments: &[&str]) {
        self.arguments = arguments.iter().copied().map(str::to_owned).collect();
    }

    fn await_ready(&mut self, ready: &mpsc::Receiver<()>) -> Result<()> {
        let reason = match ready.recv_timeout(READY) {
            Ok(()) => return Ok(()),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                format!("ended with {}", self.child.wait()?)
            }
            Err(mpsc::RecvTimeoutError::Timeout) => format!("was not ready within {READY:?}"),
        };
        bail!("`snat-ctl run` {reason}; it said:\n{}", self.log())
    }

    /// The instance.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of its network namespace.
    #[must_use]
    pub fn netns(&self) -> &str {
        &self.netns
    }

    /// Its configuration file.
    #[must_use]
    pub fn config(&self) -> &Path {
        self.config.path()
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard error so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Runs another command of `snat-ctl` for this instance and returns all about its end.
    pub fn ctl_output(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = self.ctl_command(arguments);
        command
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("starting {command:?}"))
    }

    /// As [`Gateway::ctl_output`], for a command that must succeed; returns its standard output.
    pub fn ctl(&self, arguments: &[&str]) -> Result<String> {
        output(&mut self.ctl_command(arguments))
    }

    /// Runs a command with `--json` and parses what it prints.
    pub fn ctl_json(&self, arguments: &[&str]) -> Result<serde_json::Value> {
        let text = self.ctl(&[arguments, &["--json"]].concat())?;
        serde_json::from_str(&text)
            .with_context(|| format!("`snat-ctl {}` printed no JSON: {text}", arguments.join(" ")))
    }

    /// Ends the daemon with SIGTERM, as systemd would; the datapath stays.
    pub fn stop(&mut self) -> Result<()> {
        kill(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGTERM,
        )
        .context("SIGTERM")?;
        let status = wait::until(
            Duration::from_secs(10),
            "`snat-ctl run` ends after SIGTERM",
            || self.child.try_wait()?.context("still running"),
        )?;
        ensure!(
            status.success(),
            "`snat-ctl run` ended with {status} after SIGTERM; it said:\n{}",
            self.log()
        );
        Ok(())
    }

    /// Ends the daemon with SIGKILL, as a crash would; the datapath stays.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().context("SIGKILL")?;
        self.child.wait().map(drop).context("waiting for its end")
    }

    /// Another command of `snat-ctl` for this instance, where the gateway is.
    #[must_use]
    pub fn ctl_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command();
        command.args(["--name", &self.name]).args(arguments);
        command
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        self.ctl_output(&["unload"]).ok();
    }
}

/// The configuration tests and labs run with: all private addresses to the egress interface's own.
#[must_use]
pub fn config(topology: &Topology, name: &str, datapath: &str) -> String {
    let interfaces = topology.interfaces;
    format!(
        r#"[gateway]
name       = "{name}"
interfaces = {interfaces:?}
datapath   = "{datapath}"

[[snat]]
name     = "private"
source   = ["172.16.0.0/16"]
external = ["auto"]

[[bypass]]
destination = ["172.16.0.0/12"]
"#
    )
}

/// The kernel's own NAT in place of ours: shows that the network and the checks themselves are right.
pub fn nft_masquerade(topology: &Topology) -> Result<()> {
    topology.gateway.netns.nft(
        "table ip nat {
             chain post { type nat hook postrouting priority srcnat;
                 ip saddr 172.16.1.0/24 ip daddr != 172.16.0.0/12 oifname \"eth0\" masquerade; }
         }",
    )
}

/// The `snat-ctl` to test: `$SNAT_CTL`, or the one built next to this executable.
pub fn program() -> Result<PathBuf> {
    if let Some(path) = env::var_os("SNAT_CTL") {
        return Ok(path.into());
    }
    let this = env::current_exe().context("finding this executable")?;
    this.ancestors()
        .skip(1)
        .take(2)
        .map(|dir| dir.join("snat-ctl"))
        .find(|path| path.is_file())
        .with_context(|| {
            format!(
                "no snat-ctl near {}: run `cargo build -p snat-ctl`, or set SNAT_CTL",
                this.display()
            )
        })
}

type Spawned = (Child, mpsc::Receiver<()>, Arc<Mutex<String>>);

fn spawn(mut snat_ctl: Command, config: &Path, arguments: &[String]) -> Result<Spawned> {
    let mut child = snat_ctl
        .args(["run", "--config"])
        .arg(config)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {snat_ctl:?}"))?;
    let log = Arc::<Mutex<String>>::default();
    let ready = follow(&mut child, Arc::clone(&log))?;
    Ok((child, ready, log))
}

/// Collects what the child says; the receiver hears of its line `ready`, or is cut off when it ends.
fn follow(child: &mut Child, log: Arc<Mutex<String>>) -> Result<mpsc::Receiver<()>> {
    let stderr = child.stderr.take().context("no standard error")?;
    let (ready, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if line.starts_with("ready") {
                ready.send(()).ok();
            }
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_str(&line);
            log.push('\n');
        }
    });
    Ok(receiver)
}
