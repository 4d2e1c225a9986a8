//! What is in the kernel, and for how long.

use std::{collections::BTreeSet, fs, time::Duration};

use anyhow::{Result, ensure};
use snat_ctl::eni::balance;
use snat_tests::{observe::Objects, wait, whoami::Counts};

use crate::world::{ETH0, ETH1, TCP, World};

/// All that is pinned, with the programs behind the links.
fn objects(world: &World) -> Result<Objects> {
    Objects::pinned(&world.pins)
}

#[test]
fn what_is_installed_twice_is_there_once_and_removed_without_a_trace() -> Result<()> {
    let world = World::new()?;
    ensure!(
        balance::chosen(&world.pins)?.is_none(),
        "something is there"
    );
    ensure!(!balance::remove(&world.pins)?, "something was removed");

    world.share([0, 1])?;
    let first = objects(&world)?;
    ensure!(
        (first.links.len(), first.programs.len(), first.maps.len()) == (5, 5, 3),
        "{first:?}"
    );
    world.share([0, 2])?;
    ensure!(
        objects(&world)? == first,
        "{first:?} became {:?}",
        objects(&world)?
    );
    let mut old = world.clients(TCP, 1)?;

    ensure!(balance::remove(&world.pins)?, "nothing was removed");
    ensure!(!world.pins.exists(), "{} is there", world.pins.display());
    wait::until(Duration::from_secs(10), "all of it gone", || {
        let alive = first.alive()?;
        ensure!(alive == Objects::default(), "{alive:?}");
        Ok(())
    })?;
    ensure!(
        balance::chosen(&world.pins)?.is_none(),
        "something is there"
    );

    let counts = world.connections(TCP, 100)?;
    ensure!(counts == Counts::from([(ETH0, 100)]), "{counts:?}");
    let kept = old[0].ask()?;
    ensure!(kept == ETH1, "the old connection is {kept}");
    Ok(())
}

#[test]
fn what_was_installed_half_way_is_made_whole() -> Result<()> {
    let world = World::new()?;
    world.share([0, 1])?;
    let before = objects(&world)?;
    fs::remove_file(world.pins.join("connect4"))?;
    ensure!(
        balance::chosen(&world.pins)?.is_none(),
        "half is taken for whole"
    );

    world.share([0, 1])?;
    let after = objects(&world)?;
    ensure!(after.links.len() == 5, "{after:?}");
    let both: BTreeSet<_> = before.links.intersection(&after.links).collect();
    ensure!(both.is_empty(), "{both:?} were kept");
    let counts = world.connections(TCP, 100)?;
    ensure!(counts == Counts::from([(ETH1, 100)]), "{counts:?}");
    Ok(())
}
