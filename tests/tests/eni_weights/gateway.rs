//! A gateway with two ENIs and a LAN, all told by its configuration.

use std::{fs, io::Write as _, ops::Range, time::Duration};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    cgroup_root::CgroupRoot,
    eni::Clients,
    netns::Netns,
    scene::{Plan, Scene},
    topology::Shape,
    wait,
};
use tempfile::NamedTempFile;

/// Ports of a client, each of which is a flow.
pub(crate) const MANY: Range<u16> = 10_000..20_000;
pub(crate) const MORE: Range<u16> = 20_000..30_000;

pub(crate) struct Gateway {
    pub(crate) clients: Clients,
    _root: CgroupRoot,
}

impl Gateway {
    /// Shares flows by these weights of eth0 and eth1.
    pub(crate) fn sharing(datapath: &str, weights: [u16; 2]) -> Result<Self> {
        let enis = sharing(weights);
        Self::start(&Plan {
            sections: &enis,
            ..plan(datapath)
        })
    }

    pub(crate) fn start(plan: &Plan<'_>) -> Result<Self> {
        let _root = CgroupRoot::enter()?;
        Ok(Self {
            clients: Clients::start(plan)?,
            _root,
        })
    }

    /// Applies a configuration with other weights while the gateway runs.
    pub(crate) fn apply(&self, weights: [u16; 2]) -> Result<()> {
        let gateway = &self.scene().gateway;
        let running = fs::read_to_string(gateway.config())?;
        let (others, _) = running.split_once("[[eni]]").context("no [[eni]]")?;
        let enis = sharing(weights);
        let mut file = NamedTempFile::with_suffix(".toml")?;
        write!(file, "{others}{enis}")?;
        let path = file.path().to_str().context("a path")?;
        gateway.ctl(&["eni", "apply", "--config", path]).map(drop)
    }

    /// Takes all of it down; what was configured stays.
    pub(crate) fn take_down(&mut self) -> Result<()> {
        let gateway = &mut self.clients.scene.gateway;
        gateway.stop()?;
        gateway.ctl(&["eni", "remove"])?;
        gateway.ctl(&["unload"])?;
        // Some time after that the kernel lets go.
        wait::until(Duration::from_secs(10), "XDP detached", || {
            let links = self.netns().run("ip link show")?;
            ensure!(!links.contains("prog/xdp"), "{links}");
            Ok(())
        })
    }

    pub(crate) fn scene(&self) -> &Scene {
        &self.clients.scene
    }

    pub(crate) fn netns(&self) -> &Netns {
        &self.scene().topology.gateway.netns
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Err(error) = self.scene().gateway.ctl(&["eni", "remove"]) {
            eprintln!("leaving policy routes behind: {error:#}");
        }
    }
}

/// Without `[[eni]]`.
pub(crate) fn plan(datapath: &str) -> Plan<'_> {
    Plan {
        shape: Shape::TwoEnis,
        gateway: "max_flows = 65536",
        ..Plan::routed(datapath)
    }
}

/// There is a default route by each, that by eth0 is better.
fn sharing([eth0, eth1]: [u16; 2]) -> String {
    enis([
        format!("weight = {eth0}"),
        format!("weight = {eth1}\ndefault_metric = 200"),
    ])
}

/// The `[[eni]]` of eth0 and eth1, each with these lines more.
pub(crate) fn enis(more: [String; 2]) -> String {
    let [eth0, eth1] = more;
    format!(
        "
[[eni]]
match   = {{ name = \"eth0\" }}
table   = 1000
gateway = \"203.0.113.1\"
{eth0}

[[eni]]
match   = {{ name = \"eth1\" }}
table   = 1001
gateway = \"192.0.2.1\"
{eth1}
"
    )
}
