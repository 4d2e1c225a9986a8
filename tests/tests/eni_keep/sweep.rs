//! What no notification tells of.

use std::{fs, time::Duration};

use anyhow::{Result, ensure};
use snat_ctl::eni::Store;
use snat_tests::{
    eni::section,
    topology::{
        enis::{ETH0, ETH1, Enis},
        unique_prefix,
    },
    wait,
};

use super::kept::Kept;

/// Half a minute, and the time of a look on a slow machine.
const SWEEP: Duration = Duration::from_secs(33);

#[test]
fn what_goes_without_a_notification_is_found_by_the_sweep() -> Result<()> {
    let prefix = unique_prefix();
    let config = section(&ETH0, "weight = 1") + &section(&ETH1, "weight = 3");
    let kept = Kept::of(Enis::build(&prefix)?, &prefix, &config)?;
    let pins = kept.enis.vm.enter(|| Ok(Store::open()?.pins()))?;
    let program = pins.join("connect4");
    // It is detached by that.
    fs::remove_file(&program)?;
    wait::until(SWEEP, "a new look", || {
        ensure!(program.exists(), "{} is still gone", program.display());
        Ok(())
    })?;
    kept.ctl.done("remove").map(drop)
}
