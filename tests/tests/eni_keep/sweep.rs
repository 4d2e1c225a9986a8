//! What no notification tells of.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use snat_ctl::eni::Store;
use snat_tests::{
    cgroup_root::CgroupRoot,
    eni::section,
    topology::{
        enis::{ETH0, ETH1, Enis},
        unique_prefix,
    },
    wait,
};

use super::kept::{Kept, PATIENCE};

/// Half a minute, and as much again for a slow machine.
const SWEEP: Duration = Duration::from_secs(60);
/// What a notification tells of would be repaired by then.
const UNTOLD: Duration = Duration::from_secs(2);

#[test]
fn what_goes_without_a_notification_is_found_by_the_sweep() -> Result<()> {
    let sharing = Sharing::begin()?;
    let kept = &sharing.kept;
    let pins = kept.enis.vm.enter(|| Ok(Store::open()?.pins()))?;
    let program = pins.join("connect4");
    // The looks at its start, and at what it heard of that, are no sweep.
    wait::until(PATIENCE, "a daemon that waits", || untold(kept, &program))?;
    wait::until(SWEEP, "a new look", || {
        ensure!(program.exists(), "{} is still gone", program.display());
        Ok(())
    })
}

/// Detaches a program; fails if the daemon notices that before a sweep.
fn untold(kept: &Kept, program: &Path) -> Result<()> {
    let log = kept.daemon.log();
    fs::remove_file(program)?;
    let end = Instant::now() + UNTOLD;
    while Instant::now() < end {
        ensure!(!program.exists(), "it was back at once");
        thread::sleep(Duration::from_millis(20));
    }
    let now = kept.daemon.log();
    ensure!(now == log, "it was noticed: {now}");
    Ok(())
}

/// A host whose connections two ENIs share, in a cgroup of its own.
struct Sharing {
    kept: Kept,
    _root: CgroupRoot,
}

impl Sharing {
    fn begin() -> Result<Self> {
        let _root = CgroupRoot::enter()?;
        let prefix = unique_prefix();
        let config = section(&ETH0, "weight = 1") + &section(&ETH1, "weight = 3");
        let kept = Kept::of(Enis::build(&prefix)?, &prefix, &config)?;
        Ok(Self { kept, _root })
    }
}

impl Drop for Sharing {
    fn drop(&mut self) {
        if let Err(error) = self.kept.ctl.done("remove") {
            eprintln!("leaving policy routes behind: {error:#}");
        }
    }
}
