//! The short form of `cargo xtask soak`: every disturbance once, under a mixed load.

use std::time::Duration;

use anyhow::{Result, ensure};
use snat_tests::soak::Soak;

#[test]
fn nothing_breaks_and_nothing_is_left_in_a_short_soak_xdp() -> Result<()> {
    soak("xdp")
}

#[test]
fn nothing_breaks_and_nothing_is_left_in_a_short_soak_tc() -> Result<()> {
    soak("tc")
}

fn soak(datapath: &str) -> Result<()> {
    let soak = Soak {
        // One round.
        time: Duration::from_millis(1),
        seed: fastrand::u64(..),
        datapath: datapath.to_owned(),
    };
    let verdict = soak.run(&mut |progress| println!("{progress:?}"))?;
    println!("{verdict:#?}");
    ensure!(verdict.ok, "seed {}: {:#?}", verdict.seed, verdict.rows);
    Ok(())
}
