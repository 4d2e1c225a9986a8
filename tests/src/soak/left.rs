//! What a gateway has, so that what is left after the load can be compared with what was there before.

use std::{collections::BTreeSet, fs, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::verdict::Row;
use crate::{
    gateway::Gateway,
    netns::output,
    observe::{Objects, bpftool},
    wait,
};

/// The longest timeout, the rest of a port, some sweeps, and a busy machine.
const SETTLED: Duration = Duration::from_secs(60);
/// Tables that a gateway without traffic has nothing in.
const TABLES: [&str; 3] = ["FLOWS", "MAPPINGS", "CLIENTS"];
/// The daemon may keep this much more than at the start: what it sorts and lists in, it keeps for the next time.
const MORE_MEMORY: u64 = 16 << 20;

/// What the gateway had when nothing went through it.
pub(super) struct Before {
    objects: Objects,
    map_memory: u64,
    files: u64,
    memory: u64,
}

/// The most that was seen of it in between, and all that it ever had.
#[derive(Default)]
pub(super) struct Meanwhile {
    memory: u64,
    daemon: u32,
    ever: Objects,
}

impl Before {
    pub(super) fn of(gateway: &Gateway) -> Result<Self> {
        let objects = gateway.objects()?;
        Ok(Self {
            map_memory: map_memory(&objects)?,
            files: files(gateway.pid())?,
            memory: memory(gateway.pid())?,
            objects,
        })
    }

    /// Waits until all has expired and compares.
    pub(super) fn compare(&self, gateway: &Gateway, meanwhile: &Meanwhile) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        let empty = wait::until(SETTLED, "all expires", || is_empty(gateway));
        rows.push(Row::of("flows, mappings, clients, ports in use", empty));
        let settled = wait::until(SETTLED, "the maps give their memory back", || {
            same("bytes", self.map_memory, map_memory(&gateway.objects()?)?)
        });
        rows.push(Row::of("memory of the maps", settled));
        let files = wait::until(SETTLED, "the daemon closes its files", || {
            same("open", self.files, files(gateway.pid())?)
        });
        rows.push(Row::of("the daemon's files", files));
        let most = meanwhile.memory.max(memory(gateway.pid())?);
        rows.push(Row::new(
            "the daemon's memory",
            format!("{} KiB, {} KiB at most", self.memory >> 10, most >> 10),
            most <= 2 * self.memory + MORE_MEMORY,
        ));
        rows.push(Row::of(
            "programs, maps and links",
            self.objects(gateway, meanwhile),
        ));
        Ok(rows)
    }

    /// As many as at the start, and none left of earlier daemons.
    fn objects(&self, gateway: &Gateway, meanwhile: &Meanwhile) -> Result<String> {
        wait::until(SETTLED, "the kernel lets go of what was replaced", || {
            let now = gateway.objects()?;
            let count = |objects: &Objects| {
                [&objects.programs, &objects.maps, &objects.links].map(BTreeSet::len)
            };
            ensure!(
                count(&now) == count(&self.objects),
                "{:?} became {now:?}",
                self.objects
            );
            let old = meanwhile.ever.without(&now).alive()?;
            ensure!(
                old == Objects::default(),
                "left of earlier daemons: {old:?}"
            );
            let [programs, maps, links] = count(&now);
            Ok(format!("{programs}, {maps}, {links}, as at the start"))
        })
    }
}

impl Meanwhile {
    /// Looks at the daemon, which must be running.
    pub(super) fn look(&mut self, gateway: &Gateway) -> Result<()> {
        self.memory = self.memory.max(memory(gateway.pid())?);
        if self.daemon != gateway.pid() {
            self.daemon = gateway.pid();
            self.ever.add(&gateway.objects()?);
        }
        Ok(())
    }
}

/// Unloads, and looks whether anything is left of the instance.
pub(super) fn after_unload(gateway: &mut Gateway, meanwhile: &Meanwhile) -> Row {
    let mut unload = || {
        gateway.stop()?;
        gateway.ctl(&["unload"])?;
        ensure!(!gateway.pins().exists(), "pins are left");
        // The last instance takes the folder along.
        for entry in fs::read_dir("/run/snat").into_iter().flatten() {
            let file = entry?.file_name().to_string_lossy().into_owned();
            ensure!(
                !file.starts_with(gateway.name()),
                "/run/snat/{file} is left"
            );
        }
        let running = output(Command::new("ip").args(["netns", "pids", gateway.netns()]))?;
        ensure!(running.is_empty(), "processes are left: {running}");
        wait::until(SETTLED, "the kernel lets go of all", || {
            let left = meanwhile.ever.alive()?;
            ensure!(left == Objects::default(), "left in the kernel: {left:?}");
            Ok("no pin, object, file or process".to_owned())
        })
    };
    Row::of("after `unload`", unload())
}

fn is_empty(gateway: &Gateway) -> Result<String> {
    for name in TABLES {
        let left = dump(gateway, name)?.len();
        ensure!(left == 0, "{name} has {left} elements");
    }
    let shared = dump(gateway, "SHARED")?;
    let shared = &shared.first().context("SHARED is empty")?["formatted"]["value"];
    for count in ["flows", "clients"] {
        ensure!(shared[count] == 0, "SHARED counts {}", shared[count]);
    }
    let pools = gateway.ctl_json(&["pools"])?;
    for pool in pools["pools"].as_array().context("no pools")? {
        ensure!(pool["used"] == 0 && pool["resting"] == 0, "{pool}");
    }
    Ok("0".to_owned())
}

fn dump(gateway: &Gateway, map: &str) -> Result<Vec<Value>> {
    let pin = gateway.pins().join(map);
    let dump = bpftool(&["map", "dump", "pinned", pin.to_str().context("a path")?])?;
    dump.as_array().cloned().context("no array")
}

/// What the kernel says its maps take, in bytes.
fn map_memory(objects: &Objects) -> Result<u64> {
    objects
        .maps
        .iter()
        .map(|id| {
            let map = bpftool(&["map", "show", "id", &id.to_string()])?;
            map["bytes_memlock"].as_u64().context("no bytes_memlock")
        })
        .sum()
}

/// Anonymous memory, in bytes: what is of the program's file counts for nobody.
fn memory(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kib.context("no RssAnon")? << 10)
}

fn files(pid: u32) -> Result<u64> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64)
}

fn same(unit: &str, before: u64, now: u64) -> Result<String> {
    ensure!(now == before, "{before} became {now} {unit}");
    Ok(format!("{now} {unit}, as at the start"))
}
