//! The two homes of the engine side by side: every frame goes to both, and they must do the same.

use anyhow::{Context as _, Result, ensure};
use snat_common::{Action, Addr, Direction, Event, Outcome, Verdict};
use snat_ctl::datapath::EniHint;

use crate::{
    agreement::key_bytes,
    host::{Hook, Host},
    kernel::{Kernel, TC_ACT_REDIRECT, TC_ACT_SHOT, TC_ACT_UNSPEC, XDP_DROP, XDP_REDIRECT, XDP_TX},
    world::{self, Change},
};

/// Kernel and host with the same past.
pub(crate) struct Both<'a> {
    pub(crate) kernel: &'a mut Kernel,
    pub(crate) host: Host,
    /// Events that the kernel had counted before.
    happened: Vec<u64>,
}

impl<'a> Both<'a> {
    /// With empty tables.
    pub(crate) fn new(kernel: &'a mut Kernel) -> Result<Self> {
        Self::with(kernel, world::AS_IT_IS)
    }

    /// With empty tables, under the world's configuration with a change.
    pub(crate) fn with(kernel: &'a mut Kernel, change: Change) -> Result<Self> {
        kernel.configure(change)?;
        kernel.follow(&[], &[])?;
        kernel.clear()?;
        let mut host = world::host_with(change);
        for (verdict, counter) in Verdict::ALL.iter().zip(&mut host.counters) {
            (counter.packets, counter.bytes) = kernel.counted(*verdict)?;
        }
        let mut happened = Vec::new();
        for event in Event::ALL {
            happened.push(kernel.happened(*event)?);
        }
        Ok(Self {
            kernel,
            host,
            happened,
        })
    }

    /// Goes on with empty tables under another change of the configuration.
    pub(crate) fn configure(&mut self, change: Change) -> Result<()> {
        self.kernel.configure(change)?;
        self.kernel.clear()?;
        self.host.contents = world::host_with(change).contents;
        self.host.clear();
        Ok(())
    }

    /// Tells both of policy routes.
    pub(crate) fn follow(&mut self, sources: &[Addr], hints: &[EniHint]) -> Result<()> {
        self.kernel.follow(sources, hints)?;
        self.host.follow(world::read_of(hints), sources.to_vec());
        Ok(())
    }

    /// Runs a frame in both; what they agreed on.
    pub(crate) fn run(
        &mut self,
        hook: Hook,
        ingress: u32,
        frame: &[u8],
    ) -> Result<(Outcome, Vec<u8>)> {
        self.host.clock = snat_ctl::datapath::sweep::now();
        let ran = self.kernel.run(hook, ingress, frame)?;
        let (outcome, host) = self.host.run(hook, ingress, frame);
        let Outcome { verdict, hop, .. } = outcome;
        let finished_by = self.host.finished_by;
        let expected = returned(finished_by, verdict, hop.ifindex == ingress);
        let what = || {
            format!(
                "{hook:?} on {}\nhost: {finished_by:?} {verdict:?} {}\nkernel: {:?} returned {} {}",
                hex(frame),
                hex(&host),
                ran.hook,
                ran.code,
                hex(&ran.frame)
            )
        };
        ensure!(
            (ran.hook, ran.code) == (finished_by, expected),
            "the host would return {expected}\n{}",
            what()
        );
        if verdict != Verdict::Split {
            ensure!(ran.frame == host, "the frames differ\n{}", what());
        } else {
            // Cut up and counted by a program of its own, which the host has none of.
            for verdict in [Verdict::Split, Verdict::TooBig] {
                let counter = &mut self.host.counters[verdict as usize];
                (counter.packets, counter.bytes) = self.kernel.counted(verdict)?;
            }
        }
        self.compare_counter(verdict).with_context(what)?;
        Ok((outcome, host))
    }

    /// What was counted before was equal, so this was the kernel's verdict too.
    fn compare_counter(&self, verdict: Verdict) -> Result<()> {
        let ours = self.host.counters[verdict as usize];
        let theirs = self.kernel.counted(verdict)?;
        ensure!(
            theirs == (ours.packets, ours.bytes),
            "{verdict:?} was counted {theirs:?} times by the kernel, {ours:?} by the host"
        );
        Ok(())
    }

    /// Whether the program on the way out stops a frame that a hook has passed, which must be one that
    /// [`runs`](crate::kernel::runs) in TC; both agree on that too.
    pub(crate) fn stops(&mut self, ingress: u32, frame: &[u8]) -> Result<bool> {
        let kernel = self.kernel.stops(ingress, frame)?;
        let host = self.host.leaks(ingress, frame.to_vec());
        ensure!(
            kernel == host,
            "on the way out the kernel stops it: {kernel}, the host: {host}\n{}",
            hex(frame)
        );
        if host {
            let counter = &mut self.host.counters[Verdict::LeakStopped as usize];
            counter.packets += 1;
            counter.bytes += frame.len() as u64;
        }
        self.compare_counter(Verdict::LeakStopped)?;
        Ok(host)
    }

    /// Ends every flow, in the kernel by the sweep's own program.
    pub(crate) fn bury_all(&mut self) -> Result<()> {
        let entries = self.host.entries();
        let keys = entries
            .into_iter()
            .filter(|(_, entry)| entry.direction == Direction::Out);
        let keys: Vec<_> = keys.map(|(key, _)| key).collect();
        let raw: Vec<_> = keys.iter().map(key_bytes).collect();
        let buried = self.kernel.bury(&raw)?;
        let now = self.host.clock;
        let ours = keys.iter();
        let ours = ours.filter(|key| self.host.flush(key, now, false)).count();
        ensure!(
            (buried, self.kernel.entries()?.len()) == (ours, self.host.entries().len()),
            "the kernel buried {buried} of {} flows, the host {ours}",
            keys.len()
        );
        Ok(())
    }

    /// Every counter.
    pub(crate) fn compare_counters(&self) -> Result<()> {
        Verdict::ALL
            .iter()
            .try_for_each(|verdict| self.compare_counter(*verdict))?;
        for (event, before) in Event::ALL.iter().zip(&self.happened) {
            // The host runs no program that answers.
            if matches!(event, Event::AnswerSent | Event::AnswerHeldBack) {
                continue;
            }
            let (ours, theirs) = (self.host.happened(*event), self.kernel.happened(*event)?);
            ensure!(
                theirs - before == ours,
                "{event:?} happened {ours} times on the host, {} in the kernel",
                theirs - before
            );
        }
        Ok(())
    }
}

/// What a program returns for a verdict.
fn returned(hook: Hook, verdict: Verdict, back: bool) -> i32 {
    match (hook, verdict.action()) {
        (Hook::Xdp, Action::Forward) if back => XDP_TX,
        (Hook::Xdp, Action::Forward) => XDP_REDIRECT,
        // It forwards what it decides on, or fails to.
        (Hook::Xdp, _) => XDP_DROP,
        (Hook::Tc, Action::Pass) => TC_ACT_UNSPEC,
        (Hook::Tc, Action::Forward) => TC_ACT_REDIRECT,
        (
            Hook::Tc,
            Action::Drop | Action::Refuse | Action::Again | Action::Split | Action::Hold,
        ) => TC_ACT_SHOT,
    }
}

/// Bytes to be read by a person, or by `xxd -r -p`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
