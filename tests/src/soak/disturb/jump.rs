//! The wall clock jumps, as when somebody sets it or NTP steps it. The datapath has another; what daemon and commands
//! show by this one must be right again by itself.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::World;
use crate::wait;

/// Up to so many days, ahead or back.
const DAYS: i64 = 400;
/// The daemon looks at the clock every second.
const NOTICED: Duration = Duration::from_secs(10);

pub(super) fn jump(world: &mut World<'_>) -> Result<()> {
    let seconds = world.rng.i64(-DAYS * 86_400..DAYS * 86_400);
    set(world, seconds)?;
    world.pass(0..1000);
    set(world, 0)
}

/// Sets it, and waits until the daemon has stamped its file by it and nobody takes the daemon for hung.
fn set(world: &World<'_>, seconds: i64) -> Result<()> {
    world.clock.set(seconds)?;
    let lock = Path::new("/run/snat").join(format!("{}.lock", world.gateway.name()));
    wait::until(NOTICED, "the daemon goes by the new time", || {
        let stamp = fs::metadata(&lock)
            .with_context(|| lock.display().to_string())?
            .modified()?;
        let off = since_1970(stamp)? - since_1970(SystemTime::now())? - seconds;
        ensure!(
            off.abs() <= NOTICED.as_secs().cast_signed(),
            "its file is stamped {off} s off: a statically linked program does not heed the clock we give it"
        );
        // It ends with 3 if anything is wrong.
        let status = ["status", "--interval", "0", "--json"];
        let status = world.gateway.ctl_output(&status)?.stdout;
        let status: Value = serde_json::from_slice(&status)?;
        let problems = status["problems"].as_array().context("no problems")?;
        let hung = problems
            .iter()
            .any(|problem| problem["id"] == "daemon.hung");
        ensure!(
            !hung,
            "`snat-ctl status` takes the daemon for hung: {problems:?}"
        );
        Ok(())
    })
}

fn since_1970(time: SystemTime) -> Result<i64> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(since.as_secs().cast_signed())
}
