//! The daemon needs no more than `dist/snat-ctl.service` leaves it. Under systemd itself: `cargo xtask dist --test`.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    gateway::{config, program},
    http::HttpServer,
    netns::{command, output},
    topology::{Offloads, Shape, Topology, unique_prefix},
    traffic::{self, HTTP},
    wait,
};
use tempfile::NamedTempFile;

const READY: Duration = Duration::from_secs(30);

#[test]
fn with_the_units_capabilities_alone_the_daemon_starts_and_translates() -> Result<()> {
    translates("auto")
}

#[test]
fn with_the_units_capabilities_alone_tc_will_do() -> Result<()> {
    translates("tc")
}

fn translates(datapath: &str) -> Result<()> {
    let prefix = unique_prefix();
    let topology = Topology::build(Shape::OneArm, Offloads::Off, &prefix)?;
    let name = format!("{prefix}unit");
    let mut file = NamedTempFile::with_suffix(".toml")?;
    file.write_all(config(&topology, &name, datapath).as_bytes())?;
    let daemon = Restricted::start(&topology, &name, file.path())?;
    wait::until(READY, "the daemon is ready", || {
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.child.id()))?;
        ensure!(status.contains("\nNoNewPrivs:\t1\n"), "{status}");
        let said = daemon.said();
        let status = daemon.ctl(&["status"]).context(said)?;
        ensure!(status.starts_with("ok"), "{status}");
        Ok(())
    })?;

    let _http = HttpServer::start(&topology.server.netns, HTTP)?;
    traffic::download(&topology.clients[0], &topology.server)?;
    let flows = daemon.ctl(&["flows"])?;
    ensure!(
        flows.contains(&topology.clients[0].addr.to_string()),
        "{flows}"
    );
    Ok(())
}

/// `snat-ctl run` with the unit's capabilities; dropping it unloads.
struct Restricted {
    netns: String,
    name: String,
    program: PathBuf,
    log: NamedTempFile,
    child: Child,
}

impl Restricted {
    fn start(topology: &Topology, name: &str, config: &Path) -> Result<Self> {
        let netns = topology.gateway.netns.name().to_owned();
        let program = program()?;
        let log = NamedTempFile::new()?;
        let child = command(&netns, "setpriv")
            .arg(format!("--bounding-set=-all{}", capabilities()?))
            .args(["--no-new-privs", "--"])
            .arg(&program)
            .args(["run", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stderr(log.reopen()?)
            .spawn()
            .context("starting setpriv")?;
        Ok(Self {
            netns,
            name: name.to_owned(),
            program,
            log,
            child,
        })
    }

    fn said(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap_or_default()
    }

    fn ctl(&self, arguments: &[&str]) -> Result<String> {
        let mut command = command(&self.netns, &self.program);
        output(command.args(["--name", &self.name]).args(arguments))
    }
}

impl Drop for Restricted {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        self.ctl(&["unload"]).ok();
    }
}

/// Those of the unit, as `setpriv` adds them: `,+bpf,+net_admin`.
fn capabilities() -> Result<String> {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dist/snat-ctl.service");
    let text = fs::read_to_string(unit)?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let names = line.context("the unit names no capabilities")?;
    let names = names
        .split_whitespace()
        .map(|name| name.trim_start_matches("CAP_").to_lowercase());
    Ok(names.map(|name| format!(",+{name}")).collect())
}
