//! Tables of packets: what goes in, and to the byte what comes out of XDP, of TC, and of the host.

mod errors;
mod hairpin;
mod malformed;
mod passed;
mod sources;
mod translated;

use anyhow::{Context as _, Result, bail, ensure};
use snat_common::{Action, Verdict};

use crate::{
    both::{Both, hex},
    frames::Frame,
    host::Hook,
    kernel::{in_kernel, runs},
    world::{AS_IT_IS, Change},
};

/// A packet and what must become of it.
struct Fixture {
    name: String,
    /// Packets that went before, each with the interface it came in by.
    before: Vec<(u32, Frame)>,
    ingress: u32,
    frame: Vec<u8>,
    verdict: Verdict,
    /// The frame afterwards.
    out: Vec<u8>,
    /// What is different in the configuration.
    change: Change,
}

impl Fixture {
    /// A frame that is left as it came.
    fn untouched(name: &str, ingress: u32, frame: Vec<u8>, verdict: Verdict) -> Self {
        Self {
            name: name.to_owned(),
            before: Vec::new(),
            ingress,
            out: frame.clone(),
            frame,
            verdict,
            change: AS_IT_IS,
        }
    }

    fn run(&self, hook: Hook, both: &mut Both<'_>) -> Result<()> {
        for (ingress, frame) in &self.before {
            let (outcome, _) = both
                .run(hook, *ingress, &frame.bytes())
                .context("before it")?;
            ensure!(
                outcome.verdict.action() == Action::Forward,
                "a packet before it was not translated: {:?}",
                outcome.verdict
            );
        }
        let (outcome, out) = if runs(&self.frame) {
            both.run(hook, self.ingress, &self.frame)?
        } else {
            both.host.run(hook, self.ingress, &self.frame)
        };
        ensure!(
            outcome.verdict == self.verdict,
            "the verdict was {:?}",
            outcome.verdict
        );
        ensure!(
            out == self.out,
            "came out as\n{}, expected\n{}",
            hex(&out),
            hex(&self.out)
        );
        Ok(())
    }
}

/// Runs them all in both hooks, each with an empty flow table, and tells of every one that failed.
fn check(fixtures: &[Fixture]) -> Result<()> {
    in_kernel(|kernel| {
        let mut failures = Vec::new();
        for fixture in fixtures {
            for hook in [Hook::Xdp, Hook::Tc] {
                if let Err(error) = fixture.run(hook, &mut Both::with(kernel, fixture.change)?) {
                    failures.push(format!("{} ({hook:?}): {error:#}", fixture.name));
                }
            }
        }
        if !failures.is_empty() {
            bail!("{} failed:\n{}", failures.len(), failures.join("\n\n"));
        }
        Ok(())
    })
}
