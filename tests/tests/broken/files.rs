//! Pins that are missing, and files that nobody knows.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::{refused, unnoticed};

#[test]
fn with_a_map_missing_beside_links_it_is_refused_and_goes_on() -> Result<()> {
    unnoticed(|gateway| {
        fs::remove_file(gateway.pins().join("BUSY")).context("the pin")?;
        refused(
            gateway,
            "",
            &[
                "maps are missing beside attached programs",
                "nothing was changed",
                "snat-ctl unload",
            ],
        )
    })
}

#[test]
fn with_no_map_at_all_beside_links_it_is_refused_and_goes_on() -> Result<()> {
    unnoticed(|gateway| {
        for pin in fs::read_dir(gateway.pins())? {
            let path = pin?.path();
            if !path.is_dir() {
                fs::remove_file(path)?;
            }
        }
        refused(
            gateway,
            "",
            &[
                "maps are missing beside attached programs",
                "snat-ctl unload",
            ],
        )
    })
}

#[test]
fn a_start_makes_good_what_is_missing_of_the_programs() -> Result<()> {
    unnoticed(|gateway| {
        let programs = gateway.pins().join("progs");
        for pin in fs::read_dir(&programs)? {
            fs::remove_file(pin?.path())?;
        }
        fs::remove_dir(&programs)?;
        gateway.start_again()?;
        ensure!(programs.join("snat_sweep").exists());
        Ok(())
    })
}

#[test]
fn folders_that_nobody_knows_are_in_nobodys_way() -> Result<()> {
    unnoticed(|gateway| {
        for name in ["unknown", "next", "links/unknown-eth7"] {
            fs::create_dir(gateway.pins().join(name)).context(name)?;
        }
        gateway.start_again()?;
        gateway.stop()?;
        fs::remove_dir(gateway.pins().join("links/unknown-eth7")).ok();
        fs::remove_dir(gateway.pins().join("unknown"))?;
        Ok(())
    })
}
