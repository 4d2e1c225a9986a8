//! A `snat-ctl run` that must be refused and change nothing.

use std::{collections::BTreeSet, fs, io::Write as _, path::Path, process::Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::{
    gateway::program,
    netns::{Netns, output},
    topology::unique_prefix,
};

/// Where instances leave something.
const PLACES: [&str; 2] = ["/sys/fs/bpf/snat", "/run/snat"];

/// How it ended.
#[derive(Debug)]
pub struct Refusal {
    /// Exit code.
    pub code: Option<i32>,
    /// Standard error, the configuration's path written as `snat.toml`.
    pub said: String,
}

impl Refusal {
    /// Runs it in the namespace with this configuration, whose instance must be `name`; fails if it
    /// did not end by itself or left anything behind.
    pub fn of(netns: &Netns, name: &str, config: &str) -> Result<Self> {
        Self::wrapped(netns, name, config, &[])
    }

    /// As [`Refusal::of`], with a command line that goes before `snat-ctl`.
    pub fn wrapped(netns: &Netns, name: &str, config: &str, wrapper: &[&str]) -> Result<Self> {
        let mut file = NamedTempFile::with_suffix(".toml")?;
        file.write_all(config.as_bytes())?;
        Self::with_file(netns, name, file.path(), wrapper)
    }

    /// As [`Refusal::wrapped`], with the configuration's path.
    pub fn with_file(netns: &Netns, name: &str, config: &Path, wrapper: &[&str]) -> Result<Self> {
        let before = traces(netns, name)?;
        let mut run = netns.command("timeout");
        run.arg("20").args(wrapper).arg(program()?);
        let ended = run
            .args(["run", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("starting {run:?}"))?;
        let said = String::from_utf8_lossy(&ended.stderr)
            .replace(&config.display().to_string(), "snat.toml");
        ensure!(ended.stdout.is_empty(), "on standard output: {ended:?}");
        ensure!(!said.contains("ready:"), "it ran: {said}");
        let after = traces(netns, name)?;
        ensure!(
            after == before,
            "{before:#?} became {after:#?} though it said: {said}"
        );
        Ok(Self {
            code: ended.status.code(),
            said,
        })
    }

    /// Fails unless it ended with this code and said all of this.
    pub fn expect(&self, code: i32, all: &[&str]) -> Result<()> {
        ensure!(self.code == Some(code), "not exit code {code}: {self:?}");
        for text in all {
            ensure!(
                self.said.contains(text),
                "it never says {text:?}: {}",
                self.said
            );
        }
        Ok(())
    }
}

/// Everything by which an instance would show: files, and what is attached in the namespace.
fn traces(netns: &Netns, name: &str) -> Result<BTreeSet<String>> {
    let mut traces = BTreeSet::new();
    for place in PLACES {
        let entries = fs::read_dir(place).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path().display().to_string());
        traces.extend(paths.filter(|path| path.contains(name)));
    }
    let mut show = netns.command("bpftool");
    let attached: Value = serde_json::from_str(&output(show.args(["-j", "net"]))?)?;
    traces.insert(attached.to_string());
    Ok(traces)
}

/// A host that could well be a gateway: 192.0.2.1/24 on eth0, and forwarding. `suffix` ends its name.
pub fn host(suffix: &str) -> Result<Netns> {
    let host = Netns::create(&format!("{}{suffix}", unique_prefix()))?;
    host.ip("link add eth0 type veth peer name peer
             addr add 192.0.2.1/24 dev eth0
             link set eth0 up
             link set peer up")?;
    host.sysctl("net/ipv4/ip_forward", "1")?;
    Ok(host)
}
