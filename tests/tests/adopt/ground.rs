//! A routed gateway whose clients the kernel's NAT translates, and `snat-ctl` that is to take its place.

use std::{
    collections::BTreeSet,
    io::Write as _,
    process::{Command, Output},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use snat_ctl::netlink::conntrack;
use snat_tests::{
    gateway::{config, program},
    netns::{Netns, output},
    topology::{Offloads, Shape, Topology, unique_prefix},
};
use tempfile::NamedTempFile;

/// Protocol, client's endpoint, external endpoint, server's endpoint.
pub(crate) type Ends = (String, String, String, String);

/// The network, and an instance that a test starts by its verbs.
pub(crate) struct Ground {
    pub(crate) topology: Topology,
    name: String,
    config: NamedTempFile,
}

impl Ground {
    /// Nothing translates yet. `entry` are lines for the one `[[snat]]`, `gateway` for `[gateway]`.
    pub(crate) fn build(datapath: &str, gateway: &str, entry: &str) -> Result<Self> {
        let prefix = unique_prefix();
        let topology = Topology::build(Shape::Routed, Offloads::Off, &prefix)?;
        let name = format!("{prefix}it");
        let text = config(&topology, &name, datapath)
            .replacen("[[snat]]", &format!("{gateway}\n\n[[snat]]"), 1)
            .replacen("[[bypass]]", &format!("{entry}\n\n[[bypass]]"), 1);
        let mut config = NamedTempFile::with_suffix(".toml")?;
        config.write_all(text.as_bytes())?;
        Ok(Self {
            topology,
            name,
            config,
        })
    }

    /// More sections for the configuration.
    pub(crate) fn configure(&mut self, sections: &str) -> Result<()> {
        Ok(self.config.write_all(sections.as_bytes())?)
    }

    /// Puts `new` in place of `old` in it.
    pub(crate) fn replace(&mut self, old: &str, new: &str) -> Result<()> {
        let text = self.text()?.replacen(old, new, 1);
        Ok(std::fs::write(self.config.path(), text)?)
    }

    pub(crate) fn gw(&self) -> &Netns {
        &self.topology.gateway.netns
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The text of the configuration.
    pub(crate) fn text(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.config.path())?)
    }

    pub(crate) fn ctl(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = self.gw().command(program()?);
        command.args(["--name", &self.name]).args(arguments);
        Ok(command)
    }

    /// `snat-ctl adopt` with the configuration, to its end.
    pub(crate) fn adopt(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = self.ctl(&["adopt", "--json", "--config"])?;
        command.arg(self.config.path()).args(arguments);
        Ok(command.output()?)
    }

    /// As [`Ground::adopt`], which must end with this code; what it prints.
    pub(crate) fn adopt_ends(&self, code: i32, arguments: &[&str]) -> Result<Value> {
        let ended = self.adopt(arguments)?;
        ensure!(
            ended.status.code() == Some(code),
            "{ended:?}, expected {code}"
        );
        serde_json::from_slice(&ended.stdout).with_context(|| format!("no JSON: {ended:?}"))
    }

    /// `snat-ctl unload`, to its end.
    pub(crate) fn unload(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = self.ctl(&["unload", "--json"])?;
        Ok(command.args(arguments).output()?)
    }

    /// What the gateway's table says.
    pub(crate) fn flows(&self) -> Result<BTreeSet<Ends>> {
        let mut command = self.ctl(&["flows", "--json", "--limit", "100000"])?;
        let text = output(&mut command)?;
        let json: Value = serde_json::from_str(&text)?;
        let flows = json.as_array().context("no flows")?;
        let end = |flow: &Value, addr: &str, port: &str| {
            let addr = flow[addr].as_str().unwrap_or_default().to_owned();
            format!("{addr}:{}", flow[port])
        };
        Ok(flows
            .iter()
            .map(|flow| {
                (
                    flow["protocol"].as_str().unwrap_or_default().to_owned(),
                    end(flow, "client", "client_port"),
                    end(flow, "external", "external_port"),
                    end(flow, "server", "server_port"),
                )
            })
            .collect())
    }

    /// What the kernel translates the source of.
    pub(crate) fn tracked(&self) -> Result<BTreeSet<Ends>> {
        self.gw().enter(|| {
            let mut found = BTreeSet::new();
            conntrack::for_each(|connection| {
                let protocol = match connection.protocol {
                    1 => "icmp",
                    6 => "tcp",
                    17 => "udp",
                    _ => "other",
                };
                if connection.reply.dst != connection.original.src {
                    found.insert((
                        protocol.to_owned(),
                        connection.original.src.to_string(),
                        connection.reply.dst.to_string(),
                        connection.original.dst.to_string(),
                    ));
                }
            })?;
            Ok(found)
        })
    }

    /// Removes every NAT rule; the kernel's connections stay.
    pub(crate) fn no_rules(&self) -> Result<()> {
        self.gw().run("nft flush ruleset")?;
        self.gw().run("iptables-legacy -t nat -F")?;
        Ok(())
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Ok(mut unload) = self.ctl(&["unload"]) {
            unload.output().ok();
        }
    }
}
