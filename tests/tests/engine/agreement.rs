//! A million frames, sense and nonsense: the kernel and the host do the same with every one of them.

mod mixture;
mod mutilation;
mod short_way;
mod tables;

use std::{env, time::Instant};

use anyhow::{Context as _, Result, ensure};
use snat_common::{
    Action, Addr, Verdict,
    settings::{Filtering, Mapping},
};
use snat_ctl::datapath::Desired;

use self::mixture::Mixture;
pub(crate) use self::tables::key_bytes;
use crate::{
    both::{Both, hex},
    fib::contains,
    host::Hook,
    kernel::{Kernel, in_kernel, runs},
    world::{self, AS_IT_IS, Change, SECOND, SECOND_EXTERNAL},
};

// Half of them for each hook.
const FRAMES: u32 = 1_000_000;
/// Then everything is forgotten, so that not all of them meet a table that is full.
const EPOCH: u32 = 10_000;

#[test]
fn kernel_and_host_agree_on_a_million_frames() -> Result<()> {
    let seed = seed()?;
    in_kernel(|kernel| agree(kernel, seed)).with_context(|| format!("with SNAT_SEED={seed}"))
}

/// Where the random frames begin: told by the environment, or anywhere.
fn seed() -> Result<u64> {
    let seed = match env::var("SNAT_SEED") {
        Ok(text) => text.parse().context("SNAT_SEED is no number")?,
        Err(_) => fastrand::u64(..),
    };
    println!("SNAT_SEED={seed}");
    Ok(seed)
}

fn agree(kernel: &mut Kernel, seed: u64) -> Result<()> {
    let mut both = Both::new(kernel)?;
    let mut mixture = Mixture::new(seed);
    let shared = world::shared();
    let mut by_second = 0;
    let start = Instant::now();
    for number in 0..FRAMES {
        if number % EPOCH == 0 && number != 0 {
            tables::compare(&mut both)?;
            both.bury_all()?;
            tables::are_free(&mut both)?;
            let epoch = (number / EPOCH) as usize;
            both.configure(MODES[epoch % MODES.len()])?;
            // Now and then with two interfaces that lead outside.
            let is_shared = epoch / MODES.len() % 4 == 1;
            if is_shared {
                both.follow(&[SECOND_EXTERNAL], &shared)?;
            } else {
                both.follow(&[], &[])?;
            }
            mixture.forget();
        }
        let (ingress, frame) = mixture.next();
        if !runs(&frame) || is_fragment(&frame) {
            continue;
        }
        let hook = if number % 2 == 1 { Hook::Tc } else { Hook::Xdp };
        let (outcome, out) = both
            .run(hook, ingress, &frame)
            .with_context(|| format!("frame {number}"))?;
        nothing_private_leaves(outcome.verdict, &frame, &out)
            .with_context(|| format!("frame {number}: {}", hex(&frame)))?;
        if outcome.verdict.action() == Action::Pass {
            let stopped = both.stops(ingress, &frame)?;
            ensure!(
                stopped == must_not_leave(&frame),
                "frame {number}, passed as {:?}, was stopped on the way out: {stopped}\n{}",
                outcome.verdict,
                hex(&frame)
            );
        }
        if outcome.verdict == Verdict::TranslatedOut {
            by_second += u32::from(outcome.hop.ifindex == SECOND);
            mixture.learn(ingress, frame, out);
        }
    }
    tables::compare(&mut both)?;
    both.compare_counters()?;
    let seen = &both.host.counters;
    let named: Vec<_> = Verdict::ALL
        .iter()
        .zip(seen)
        .map(|(verdict, counter)| format!("{} {}", verdict.name(), counter.packets))
        .collect();
    println!(
        "{FRAMES} frames in {:?}: {}",
        start.elapsed(),
        named.join(", ")
    );
    ensure!(by_second > 1_000, "{by_second} left by `second`");
    mixture::is_rich(seen)
}

/// Fragments are held, counted and let in again by programs with tests of their own.
fn is_fragment(frame: &[u8]) -> bool {
    frame[12..14] == [8, 0] && u16::from_be_bytes([frame[20], frame[21]]) & 0x3fff != 0
}

/// Every mapping, and every filtering.
const MODES: [Change; 4] = [
    AS_IT_IS,
    |desired| {
        set_modes(
            desired,
            Mapping::EndpointIndependent,
            Filtering::AddressDependent,
        );
    },
    |desired| set_modes(desired, Mapping::Auto, Filtering::EndpointIndependent),
    |desired| {
        set_modes(
            desired,
            Mapping::AddressAndPortDependent,
            Filtering::AddressAndPortDependent,
        );
        desired.settings.flows_per_source = 60;
        desired.settings.protocols = u8::MAX;
    },
];

fn set_modes(desired: &mut Desired, mapping: Mapping, filtering: Filtering) {
    for entry in &mut desired.entries {
        entry.mapping = mapping as u8;
        entry.filtering = filtering as u8;
    }
}

/// What is not translated is as it came; what is has a source that may be seen where it goes.
fn nothing_private_leaves(verdict: Verdict, frame: &[u8], out: &[u8]) -> Result<()> {
    let addr = |frame: &[u8], at: usize| [frame[at], frame[at + 1], frame[at + 2], frame[at + 3]];
    let private = |addr| contains([10, 0, 0, 0], 8, addr);
    let external = |addr| {
        [world::EXTERNAL, SECOND_EXTERNAL].contains(&addr) || contains([203, 0, 113, 20], 30, addr)
    };
    let hairpin = frame.len() >= 34 && private(addr(frame, 26)) && external(addr(frame, 30));
    if verdict.action() != Action::Forward {
        ensure!(frame == out || hairpin, "changed, though {verdict:?}");
        return Ok(());
    }
    let (src, dst) = (addr(out, 26), addr(out, 30));
    if matches!(verdict, Verdict::TranslatedOut | Verdict::ErrorOut) {
        ensure!(external(src), "left from {src:?}");
        ensure!(dst == addr(frame, 30), "sent to {dst:?}");
    } else {
        // Whatever it was outside: who is no client may have any address, also one like theirs.
        ensure!(
            src == addr(frame, 26) || hairpin && external(src),
            "came from {src:?}"
        );
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
