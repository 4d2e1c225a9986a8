//! The engine against a model that is plain, slow and obviously right: a million steps of packets, time,
//! sweeps and changed settings, after each of which both must have done the same.
//!
//! `SNAT_SEED` repeats a run, `SNAT_STEPS` makes it longer. That the kernel does what the engine on the host
//! does is shown by [`crate::agreement`].

mod ledger;
mod nat;
mod rules;
mod steps;
mod tables;
mod tcp;

use std::{env, panic, time::Instant};

use fastrand::Rng;
use snat_common::settings::{Filtering, Mapping};

use self::steps::Run;

const STEPS: u64 = 1_200_000;
/// Steps between two settings of mapping and filtering; at the end of each nothing may be left.
const EPOCH: u64 = 10_000;

const MODES: [Mapping; 3] = [
    Mapping::Auto,
    Mapping::EndpointIndependent,
    Mapping::AddressAndPortDependent,
];
const FILTERINGS: [Filtering; 3] = [
    Filtering::AddressAndPortDependent,
    Filtering::AddressDependent,
    Filtering::EndpointIndependent,
];

#[test]
fn engine_and_model_agree_on_a_million_steps() {
    let number = |name: &str| env::var(name).ok()?.parse().ok();
    let seed = number("SNAT_SEED").unwrap_or_else(|| fastrand::u64(..));
    let steps = number("SNAT_STEPS").unwrap_or(STEPS);
    println!("SNAT_SEED={seed}");
    let start = Instant::now();
    let mut seen = vec![0; snat_common::Verdict::ALL.len()];
    for epoch in 0..steps.div_ceil(EPOCH) {
        let nth = epoch as usize;
        let (mode, filtering) = (MODES[nth % 3], FILTERINGS[nth / 3 % 3]);
        let random = Rng::with_seed(seed.wrapping_add(epoch));
        let mut run = Run::new(mode, filtering, random);
        for step in 0..EPOCH {
            let result = panic::catch_unwind(panic::AssertUnwindSafe(|| run.step()));
            if let Err(cause) = result {
                println!("{mode:?}, {filtering:?}, SNAT_SEED={seed}, epoch {epoch}, step {step}");
                for line in run.last() {
                    println!("  {line}");
                }
                panic::resume_unwind(cause);
            }
        }
        run.drain();
        for (sum, counter) in seen.iter_mut().zip(run.counters()) {
            *sum += counter.packets;
        }
    }
    let named: Vec<_> = snat_common::Verdict::ALL
        .iter()
        .zip(&seen)
        .filter(|(_, packets)| **packets != 0)
        .map(|(verdict, packets)| format!("{} {packets}", verdict.name()))
        .collect();
    println!(
        "{steps} steps in {:?}: {}",
        start.elapsed(),
        named.join(", ")
    );
}
