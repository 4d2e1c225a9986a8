//! Kernel memory: of a flow, both directions, and of a gateway without any.
//!
//! Ours is what the kernel says of each map (`memlock` in `/proc/PID/fdinfo/FD`). A map that takes its memory at once
//! counts for all of its room, used or not; one with `BPF_F_NO_PREALLOC` for its buckets, and each element there is
//! (`htab_map_mem_usage()`), though an element takes what `kmalloc` rounds it up to, a tenth more.
//!
//! The kernel's NAT takes no memory of its own that could be asked for: its flows' is what slabs have grown by
//! (`/proc/meminfo`), and two hash tables of 8 bytes a bucket.

use std::{
    fs,
    os::fd::{AsFd as _, AsRawFd as _},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use aya::maps::MapData;
use snat_tests::wait;

use crate::{
    bench::Bench,
    contender::{Contender, Running},
    measure::Measure,
    results::Quantity,
    stage::{Shape, Stage},
    traffic::Flows,
};

/// The measurement.
pub(crate) const MEASURE: Measure = Measure {
    name: "memory",
    about: "kernel memory of a flow",
    rounds: 1,
    run,
};

/// All of it over the flows there are.
pub(crate) const FLOW: Quantity = Quantity {
    name: "memory per flow, both directions",
    unit: "bytes",
    over: "flows",
};
/// With room for the default of flows, and none there.
pub(crate) const IDLE: Quantity = Quantity {
    name: "memory without flows",
    unit: "bytes",
    over: "",
};
/// Who, in [`FLOW`]: the flow table without the maps beside it.
pub(crate) const TABLE: &str = "snat-ctl, map FLOWS alone";

const MANY: u32 = 1_000_000;
const QUICK: u32 = 50_000;
/// How often flows are offered that did not get through at first.
const OFFERS: u32 = 5;
const PINS: &str = "/sys/fs/bpf/snat/bench";

fn run(bench: &mut Bench) -> Result<()> {
    let flows = if bench.options.quick { QUICK } else { MANY };
    ours(bench, flows)?;
    // The rest is for what else the machine tracks.
    kernels(bench, flows.min(bench.options.tracked / 4 * 3))
}

fn ours(bench: &mut Bench, flows: u32) -> Result<()> {
    let contender = Contender::Snat("xdp");
    let stage = Stage::on_one_cpu(Shape::Routed)?;
    let sink = bench.traffic.sink(&stage.outside()?)?;
    let running = contender.start(&stage, &mut bench.traffic)?;
    let (_, idle) = maps()?;
    fill(bench, &stage, &running, flows)?;
    let (table, all) = maps()?;
    let (at, per) = (u64::from(flows), f64::from(flows));
    let results = &mut bench.results;
    results.add(IDLE, 0, contender.name(), idle as f64);
    results.add(FLOW, at, TABLE, table as f64 / per);
    results.add(FLOW, at, contender.name(), all as f64 / per);
    running.stop(&stage, &mut bench.traffic)?;
    bench.traffic.detach(sink)
}

fn kernels(bench: &mut Bench, flows: u32) -> Result<()> {
    let contender = Contender::Masquerade;
    wait::until(
        Duration::from_secs(20),
        "the flows of former namespaces are gone",
        || {
            let tracked = tracked()?;
            ensure!(tracked < 1000, "there are {tracked} yet");
            Ok(())
        },
    )?;
    let stage = Stage::on_one_cpu(Shape::Routed)?;
    let sink = bench.traffic.sink(&stage.outside()?)?;
    let running = contender.start(&stage, &mut bench.traffic)?;
    let before = slabs()?;
    fill(bench, &stage, &running, flows)?;
    let grown = slabs()?.saturating_sub(before);
    let hashes = 2 * 8 * buckets()?;
    let (at, per) = (u64::from(flows), f64::from(flows));
    let bytes = (grown + hashes) as f64 / per;
    bench.results.add(FLOW, at, contender.name(), bytes);
    running.stop(&stage, &mut bench.traffic)?;
    bench.traffic.detach(sink)
}

fn fill(bench: &mut Bench, stage: &Stage, running: &Running, flows: u32) -> Result<()> {
    let load = Flows::of(flows, 60);
    let mut known = 0;
    for _ in 0..OFFERS {
        bench.traffic.burst(&stage.inside()?, &load)?;
        known = running.flows(stage)?.context("no flows are counted")?;
        if known >= u64::from(flows) {
            return Ok(());
        }
    }
    anyhow::bail!("{known} flows after {flows} were offered {OFFERS} times")
}

/// Bytes of map `FLOWS`, and of all maps.
fn maps() -> Result<(u64, u64)> {
    let (mut table, mut all) = (0, 0);
    for entry in fs::read_dir(PINS).with_context(|| format!("reading {PINS}"))? {
        let entry = entry?;
        if !entry.file_type()?.is_file() {
            continue;
        }
        let bytes = map(&entry.path())?;
        all += bytes;
        if entry.file_name() == "FLOWS" {
            table = bytes;
        }
    }
    ensure!(table > 0, "there is no map FLOWS in {PINS}");
    Ok((table, all))
}

fn map(pin: &Path) -> Result<u64> {
    let map = MapData::from_pin(pin).with_context(|| format!("opening {}", pin.display()))?;
    let fd = map.fd().as_fd().as_raw_fd();
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{fd}"))?;
    number(&text, "memlock:").with_context(|| format!("no memlock of {}", pin.display()))
}

/// Bytes of all slabs.
fn slabs() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo").context("reading /proc/meminfo")?;
    Ok(number(&text, "Slab:").context("no Slab in /proc/meminfo")? * 1024)
}

/// Connections that are tracked in any namespace.
fn tracked() -> Result<u64> {
    let text = fs::read_to_string("/proc/slabinfo").context("reading /proc/slabinfo")?;
    Ok(number(&text, "nf_conntrack ").unwrap_or(0))
}

/// Buckets of the table of connections; that of the ports in use (`nf_nat_bysource`) has as many.
fn buckets() -> Result<u64> {
    let path = "/sys/module/nf_conntrack/parameters/hashsize";
    let text = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    Ok(text.trim().parse()?)
}

/// The number behind a word at the beginning of a line.
fn number(text: &str, word: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(word))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_found_behind_their_words() {
        let text = "pos:\t0\nmemlock:\t268439552\nmap_id:\t7\n";
        assert_eq!(number(text, "memlock:"), Some(268_439_552));
        assert_eq!(number("Slab:          123 kB\n", "Slab:"), Some(123));
        let slabs = "nf_conntrack_expect  9 9 1\nnf_conntrack  240 304 256\n";
        assert_eq!(number(slabs, "nf_conntrack "), Some(240));
        assert_eq!(number(text, "none:"), None);
    }
}
