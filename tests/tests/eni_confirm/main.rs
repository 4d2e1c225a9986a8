//! `snat-ctl eni apply --confirm`: what nobody confirms is taken back in time, whoever is killed, and nobody is locked
//! out.

mod cut_off;
mod killed;
mod verbs;

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use snat_tests::{
    eni::{EniCtl, Snapshot, section, serve},
    netns::Netns,
    session::LineServer,
    topology::{
        enis::{ETH1, Enis},
        unique_prefix,
    },
    wait,
};

/// The time to confirm a change, where it must not be over before the test has looked at it.
const GIVEN: Duration = Duration::from_secs(4);
/// How long taking back may take on a slow machine.
const SOON: Duration = Duration::from_secs(5);

/// A host behind a router that drops spoofed sources. The documented example is its configuration.
struct Scene {
    before: Snapshot,
    ctl: EniCtl,
    _service: LineServer,
    enis: Enis,
}

impl Scene {
    /// With nothing applied.
    fn bare() -> Result<Self> {
        let prefix = unique_prefix();
        let enis = Enis::build(&prefix)?;
        enis.refuse_spoofed()?;
        Ok(Self {
            before: Snapshot::take(&enis.vm)?,
            ctl: EniCtl::new(&enis.vm, &format!("{prefix}eni"), &example())?,
            _service: serve(&enis)?,
            enis,
        })
    }

    /// With the example applied.
    fn applied() -> Result<Self> {
        let mut scene = Self::bare()?;
        scene.ctl.done("apply")?;
        scene.before = scene.snapshot()?;
        Ok(scene)
    }

    fn snapshot(&self) -> Result<Snapshot> {
        Snapshot::take(&self.enis.vm)
    }

    /// Applies this with so much time to confirm it. When that began.
    fn try_for(&self, given: Duration, config: &str) -> Result<Instant> {
        self.ctl.configure(config)?;
        let begin = Instant::now();
        self.ctl.done(&apply_for(given))?;
        Ok(begin)
    }

    /// Fails unless all is as before soon after the time that was `given` since `begin`, and not earlier.
    fn taken_back(&self, begin: Instant, given: Duration) -> Result<()> {
        wait::until(given + SOON * 2, "what was before", || {
            self.snapshot()?.expect_as(&self.before)
        })?;
        let took = begin.elapsed();
        println!("as before {} ms after the change", took.as_millis());
        ensure!(
            (given..given + SOON).contains(&took),
            "taken back {took:?} after the change"
        );
        Ok(())
    }

    /// The process that waits for the deadline, if there is one.
    fn guard(&self) -> Result<Option<Pid>> {
        Ok(processes(&self.enis.vm, "eni-guard")?.into_iter().next())
    }

    fn kill_guard(&self) -> Result<()> {
        kill(self.guard()?.context("no guard")?, Signal::SIGKILL)?;
        self.without_guard()
    }

    fn without_guard(&self) -> Result<()> {
        wait::until(SOON, "the guard's end", || {
            let guard = self.guard()?;
            ensure!(guard.is_none(), "process {guard:?} still waits");
            Ok(())
        })
    }

    fn expect_something_else(&self) -> Result<()> {
        ensure!(self.snapshot()? != self.before, "nothing has changed");
        Ok(())
    }
}

/// The verb that applies with so many seconds to confirm it.
fn apply_for(given: Duration) -> String {
    format!("apply --confirm {}s", given.as_secs())
}

fn example() -> String {
    section(&ETH1, "")
}

/// The example, and a rule that silences eth1's address.
fn blackhole() -> String {
    let address = ETH1.addr;
    example() + &format!("[[rule]]\nsource = [\"{address}/32\"]\naction = \"blackhole\"\n")
}

/// Processes of this name in a namespace; those that have ended and wait for their parent do not count.
fn processes(netns: &Netns, name: &str) -> Result<Vec<Pid>> {
    let home = fs::metadata(netns.path())?.ino();
    let is_it = |pid: &i32| {
        let proc = format!("/proc/{pid}");
        fs::read_to_string(format!("{proc}/comm")).is_ok_and(|comm| comm.trim() == name)
            && fs::metadata(format!("{proc}/ns/net")).is_ok_and(|net| net.ino() == home)
    };
    let entries = fs::read_dir("/proc")?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(pids.filter(is_it).map(Pid::from_raw).collect())
}
