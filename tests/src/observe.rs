//! What `snat-ctl` says of a running gateway, and what the kernel has of it.

use std::{
    collections::BTreeSet,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;

use aya_obj::generated::bpf_cmd;

use crate::{bpf, gateway::Gateway, netns::output};

/// A line of `snat-ctl flows --json`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the names of the contract")]
pub struct Flow {
    pub protocol: String,
    pub client: Ipv4Addr,
    pub client_port: u16,
    pub external: Ipv4Addr,
    pub external_port: u16,
    pub server: Ipv4Addr,
    pub server_port: u16,
    pub state: String,
    pub age_seconds: f64,
    pub idle_seconds: f64,
    pub packets_out: u64,
    pub bytes_out: u64,
    pub packets_in: u64,
    pub bytes_in: u64,
}

/// The kernel's ids of what an instance has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Objects {
    /// Programs: attached and pinned ones.
    pub programs: BTreeSet<u64>,
    /// Maps: pinned ones and those that programs use besides.
    pub maps: BTreeSet<u64>,
    /// Links.
    pub links: BTreeSet<u64>,
}

impl Gateway {
    /// All flows.
    pub fn flows(&self) -> Result<Vec<Flow>> {
        Ok(serde_json::from_value(self.ctl_json(&["flows"])?)?)
    }

    /// How many packets had this verdict.
    pub fn verdict(&self, name: &str) -> Result<u64> {
        let status = self.ctl_json(&["status", "--interval", "0"])?;
        status["verdicts"][name]["packets"]
            .as_u64()
            .with_context(|| format!("`snat-ctl status --json` has no verdict {name}: {status}"))
    }

    /// Where it pins.
    #[must_use]
    pub fn pins(&self) -> PathBuf {
        PathBuf::from("/sys/fs/bpf/snat").join(self.name())
    }

    /// What it has in the kernel.
    pub fn objects(&self) -> Result<Objects> {
        let mut objects = Objects::default();
        let id = |value: &Value, key: &str| value[key].as_u64().context("bpftool says no id");
        for (dir, kind) in [("", "map"), ("progs", "prog"), ("links", "link")] {
            for entry in fs::read_dir(self.pins().join(dir))? {
                let path = entry?.path();
                // The link `build` is only a name.
                if path.is_dir() || path.is_symlink() {
                    continue;
                }
                let path = path.to_str().context("a pin's name")?;
                let shown = bpftool(&[kind, "show", "pinned", path])?;
                match kind {
                    "map" => objects.maps.insert(id(&shown, "id")?),
                    "prog" => objects.programs.insert(id(&shown, "id")?),
                    _ => {
                        objects.programs.insert(id(&shown, "prog_id")?);
                        objects.links.insert(id(&shown, "id")?)
                    }
                };
            }
        }
        for program in &objects.programs {
            let shown = bpftool(&["prog", "show", "id", &program.to_string()])?;
            // A program without maps has no such list.
            let maps = shown["map_ids"].as_array().into_iter().flatten();
            objects.maps.extend(maps.filter_map(Value::as_u64));
        }
        Ok(objects)
    }
}

impl Objects {
    /// What is pinned in a folder: maps, whose names are in capitals, and links with the programs behind them.
    pub fn pinned(dir: &Path) -> Result<Self> {
        let mut objects = Self::default();
        let id = |shown: &Value, key: &str| shown[key].as_u64().context("bpftool says no id");
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let kind = if name.chars().all(char::is_uppercase) {
                "map"
            } else {
                "link"
            };
            let shown = bpftool(&[kind, "show", "pinned", path.to_str().context("a path")?])?;
            if kind == "map" {
                objects.maps.insert(id(&shown, "id")?);
            } else {
                objects.links.insert(id(&shown, "id")?);
                objects.programs.insert(id(&shown, "prog_id")?);
            }
        }
        Ok(objects)
    }

    /// Takes in what another has.
    pub fn add(&mut self, other: &Self) {
        self.programs.extend(&other.programs);
        self.maps.extend(&other.maps);
        self.links.extend(&other.links);
    }

    /// Those that the other does not have.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self {
            programs: &self.programs - &other.programs,
            maps: &self.maps - &other.maps,
            links: &self.links - &other.links,
        }
    }

    /// Those that the kernel still has.
    pub fn alive(&self) -> Result<Self> {
        let alive = |command, ids: &BTreeSet<u64>| -> Result<BTreeSet<u64>> {
            Ok(bpf::ids(command)?.intersection(ids).copied().collect())
        };
        Ok(Self {
            programs: alive(bpf_cmd::BPF_PROG_GET_NEXT_ID, &self.programs)?,
            maps: alive(bpf_cmd::BPF_MAP_GET_NEXT_ID, &self.maps)?,
            links: alive(bpf_cmd::BPF_LINK_GET_NEXT_ID, &self.links)?,
        })
    }
}

/// What bpftool prints as JSON.
pub fn bpftool(arguments: &[&str]) -> Result<Value> {
    let text = output(Command::new("bpftool").arg("-j").args(arguments))?;
    serde_json::from_str(&text)
        .with_context(|| format!("`bpftool -j {}` printed {text:?}", arguments.join(" ")))
}
