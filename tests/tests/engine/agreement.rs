//! A million frames, sense and nonsense: the kernel and the host do the same with every one of them.

mod mixture;
mod mutilation;

use std::{collections::BTreeMap, env, mem::offset_of, time::Instant};

use anyhow::{Context as _, Result, ensure};
use snat_common::{Action, Addr, FlowEntry, FlowKey, Verdict};

use self::mixture::Mixture;
use crate::{
    both::{Both, hex},
    fib::contains,
    host::Hook,
    kernel::{Kernel, RawEntry, RawKey, in_kernel, runs},
    world,
};

// Half of them for each hook.
const FRAMES: u32 = 1_000_000;
/// Then everything is forgotten, so that not all of them meet a table that is full.
const EPOCH: u32 = 10_000;

#[test]
fn kernel_and_host_agree_on_a_million_frames() -> Result<()> {
    let seed = match env::var("SNAT_SEED") {
        Ok(text) => text.parse().context("SNAT_SEED is no number")?,
        Err(_) => fastrand::u64(..),
    };
    println!("SNAT_SEED={seed}");
    in_kernel(|kernel| agree(kernel, seed)).with_context(|| format!("with SNAT_SEED={seed}"))
}

fn agree(kernel: &mut Kernel, seed: u64) -> Result<()> {
    let mut both = Both::new(kernel)?;
    let mut mixture = Mixture::new(seed);
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    let start = Instant::now();
    for number in 0..FRAMES {
        if number % EPOCH == 0 && number != 0 {
            compare_tables(&both)?;
            both.bury_all()?;
            mixture.forget();
        }
        let (ingress, frame) = mixture.next();
        let hook = if number % 2 == 1 && runs(Hook::Tc, &frame) {
            Hook::Tc
        } else {
            Hook::Xdp
        };
        let (outcome, out) = both
            .run(hook, ingress, &frame)
            .with_context(|| format!("frame {number}"))?;
        *seen.entry(outcome.verdict.name()).or_default() += 1;
        nothing_private_leaves(outcome.verdict, &frame, &out)
            .with_context(|| format!("frame {number}: {}", hex(&frame)))?;
        if outcome.verdict.action() == Action::Pass && runs(Hook::Tc, &frame) {
            let stopped = both.stops(ingress, &frame)?;
            ensure!(
                stopped == must_not_leave(&frame),
                "frame {number}, passed as {:?}, was stopped on the way out: {stopped}\n{}",
                outcome.verdict,
                hex(&frame)
            );
            let stops = seen.entry(Verdict::LeakStopped.name()).or_default();
            *stops += u32::from(stopped);
        }
        if outcome.verdict == Verdict::TranslatedOut {
            mixture.learn(ingress, frame, out);
        }
    }
    compare_tables(&both)?;
    both.compare_counters()?;
    println!("{FRAMES} frames in {:?}: {seen:?}", start.elapsed());
    mixture::is_rich(&seen)
}

/// What is not translated is as it came; what is has a source that may be seen where it goes.
fn nothing_private_leaves(verdict: Verdict, frame: &[u8], out: &[u8]) -> Result<()> {
    if verdict.action() != Action::Forward {
        ensure!(frame == out, "changed, though {verdict:?}");
        return Ok(());
    }
    let addr = |frame: &[u8], at: usize| [frame[at], frame[at + 1], frame[at + 2], frame[at + 3]];
    let (src, dst) = (addr(out, 26), addr(out, 30));
    let private = |addr| contains([10, 0, 0, 0], 8, addr);
    // A router on the way may have any address, and its errors do come in.
    if verdict != Verdict::ErrorIn {
        ensure!(!private(src), "a private source was forwarded: {src:?}");
    }
    let externals = |addr| addr == world::EXTERNAL || contains([203, 0, 113, 20], 30, addr);
    if matches!(verdict, Verdict::TranslatedOut | Verdict::ErrorOut) {
        ensure!(externals(src), "left from {src:?}");
        ensure!(dst == addr(frame, 30), "sent to {dst:?}");
    } else {
        ensure!(src == addr(frame, 26), "came from {src:?}");
        ensure!(private(dst), "an answer went to {dst:?}");
    }
    Ok(())
}

/// Whether a frame, should the stack forward it, would show a client's address: by the prefixes of the
/// world's configuration, not by what the engine makes of them.
fn must_not_leave(frame: &[u8]) -> bool {
    let is_in = |prefixes: &[(Addr, u8)], at: usize| {
        let addr = [frame[at], frame[at + 1], frame[at + 2], frame[at + 3]];
        prefixes
            .iter()
            .any(|(prefix, len)| contains(*prefix, *len, addr))
    };
    let clients = [
        ([10, 1, 0, 0], 16),
        ([10, 2, 0, 0], 16),
        ([10, 4, 0, 0], 16),
    ];
    let bypassed = [([10, 0, 0, 0], 8), ([192, 0, 2, 224], 27)];
    let multicast = [([224, 0, 0, 0], 4), ([255; 4], 32)];
    // In a client prefix, but the gateway's own.
    let own = [(world::INTERNAL, 32)];
    frame[12..14] == [8, 0]
        && is_in(&clients, 26)
        && !is_in(&own, 26)
        && !is_in(&bypassed, 30)
        && !is_in(&multicast, 30)
}

/// Entry by entry, but for clocks and routes.
fn compare_tables(both: &Both<'_>) -> Result<()> {
    let ours: BTreeMap<_, _> = both
        .host
        .entries()
        .iter()
        .map(|(key, entry)| (key_bytes(key), essence(entry)))
        .collect();
    let theirs: BTreeMap<_, _> = both
        .kernel
        .entries()?
        .iter()
        .map(|(key, entry)| (*key, raw_essence(entry)))
        .collect();
    for (key, entry) in &ours {
        let other = theirs.get(key);
        ensure!(
            other == Some(entry),
            "flow {key:02x?}: the host has {entry:02x?}, the kernel {other:02x?}"
        );
    }
    ensure!(
        ours.len() == theirs.len(),
        "the kernel has {} entries, the host {}",
        theirs.len(),
        ours.len()
    );
    Ok(())
}

/// As the map has it.
pub(crate) fn key_bytes(key: &FlowKey) -> RawKey {
    let FlowKey {
        src,
        dst,
        src_port,
        dst_port,
        protocol,
        zero,
    } = *key;
    let mut bytes = [0; size_of::<FlowKey>()];
    let ports = [src_port.to_ne_bytes(), dst_port.to_ne_bytes()].concat();
    let all = [&src[..], &dst, &ports, &[protocol as u8], &zero].concat();
    bytes.copy_from_slice(&all);
    bytes
}

/// Address, port, both deltas, state, direction, packets and bytes: what must be equal.
fn essence(entry: &FlowEntry) -> Vec<u8> {
    [
        &entry.addr[..],
        &entry.port.to_ne_bytes(),
        &entry.addr_delta.to_ne_bytes(),
        &[entry.state as u8, entry.direction as u8],
        &entry.port_delta.to_ne_bytes(),
        &entry.packets.to_ne_bytes(),
        &entry.bytes.to_ne_bytes(),
    ]
    .concat()
}

fn raw_essence(entry: &RawEntry) -> Vec<u8> {
    [
        &entry[..offset_of!(FlowEntry, last_seen)],
        &entry[offset_of!(FlowEntry, state)..offset_of!(FlowEntry, mtu)],
        &entry[offset_of!(FlowEntry, packets)..],
    ]
    .concat()
}
