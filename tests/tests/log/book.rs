//! A log file as who asks it reads it.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use snat_tests::{
    scene::{Plan, Scene},
    traffic::ECHO,
    udp::{self, UdpEcho},
    wait,
};
use tempfile::TempDir;

/// A line is written 50 ms after what it says, on a busy machine later.
pub(crate) const SOON: Duration = Duration::from_secs(10);
pub(crate) const SHORT: &str = "[timeouts]\nudp = \"1s\"\nport_rest = \"500ms\"\n";

/// A gateway that logs to a file, and an echo that says as whom it sees its clients.
pub(crate) struct Logged {
    pub(crate) scene: Scene,
    pub(crate) book: Book,
    _echo: UdpEcho,
}

impl Logged {
    /// With more lines for `[log]`, for its one `[[snat]]`, and more sections.
    pub(crate) fn start(datapath: &str, log: &str, entry: &str, sections: &str) -> Result<Self> {
        let dir = TempDir::new()?;
        let path = dir.path().join("deep/mappings.jsonl");
        let sections = format!("\n[log]\nmappings = {path:?}\n{log}\n{sections}");
        let scene = Plan {
            entry,
            sections: &sections,
            ..Plan::routed(datapath)
        }
        .start()?;
        let echo = UdpEcho::start(&scene.topology.server.netns, ECHO)?;
        Ok(Self {
            scene,
            book: Book { path, _dir: dir },
            _echo: echo,
        })
    }

    /// A client (0 or 1) speaks from a port; as whom the server saw it.
    pub(crate) fn speak(&self, client: usize, port: u16) -> Result<SocketAddrV4> {
        let topology = &self.scene.topology;
        let server = SocketAddrV4::new(topology.server.addr, ECHO);
        match udp::exchange(&topology.clients[client].netns, server, port, 1)? {
            SocketAddr::V4(seen) => Ok(seen),
            SocketAddr::V6(seen) => anyhow::bail!("seen as {seen}"),
        }
    }

    pub(crate) fn addr(&self, client: usize) -> Ipv4Addr {
        self.scene.topology.clients[client].addr
    }
}

/// A file of lines.
pub(crate) struct Book {
    pub(crate) path: PathBuf,
    _dir: TempDir,
}

impl Book {
    /// All its lines, each of which must be whole.
    pub(crate) fn lines(&self) -> Result<Vec<Value>> {
        lines(&self.path)
    }

    /// Who had the external UDP port when the log had been read up to the first line that `until` is true of.
    pub(crate) fn owner(
        &self,
        external: SocketAddrV4,
        until: impl Fn(&Value) -> bool,
    ) -> Result<Option<SocketAddrV4>> {
        let lines = self.lines()?;
        let mut owner = None;
        for line in lines.iter().take_while(|line| !until(line)) {
            match line["event"].as_str().context("no event")? {
                "log_started" | "log_stopped" | "records_lost" => owner = None,
                _ if endpoint(line, "external")? != external || line["protocol"] != "udp" => {}
                "mapping_removed" | "flow_removed" => owner = None,
                _ => owner = Some(endpoint(line, "client")?),
            }
        }
        Ok(owner)
    }

    /// Waits for a line with this event about this external endpoint.
    pub(crate) fn await_event(&self, event: &str, external: SocketAddrV4) -> Result<Value> {
        wait::until(SOON, &format!("{event} of {external} is logged"), || {
            let lines = self.lines()?;
            let found = lines.iter().find(|line| {
                line["event"] == event && endpoint(line, "external").is_ok_and(|e| e == external)
            });
            found.cloned().with_context(|| format!("{lines:#?}"))
        })
    }

    pub(crate) fn count(&self, event: &str) -> Result<usize> {
        let lines = self.lines()?;
        Ok(lines.iter().filter(|line| line["event"] == event).count())
    }
}

pub(crate) fn lines(path: &Path) -> Result<Vec<Value>> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    ensure!(text.is_empty() || text.ends_with('\n'), "half a line");
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| line.to_owned()))
        .collect()
}

pub(crate) fn endpoint(line: &Value, end: &str) -> Result<SocketAddrV4> {
    let addr = line[end]
        .as_str()
        .with_context(|| format!("no {end}: {line}"))?;
    let port = line[&format!("{end}_port")].as_u64().context("no port")?;
    Ok(SocketAddrV4::new(addr.parse()?, u16::try_from(port)?))
}
