//! The daemon's process: held still, or watched at work.

use std::{fs, time::Instant};

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, SysconfVar, sysconf},
};
use snat_tests::gateway::Gateway;

/// It.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Daemon(u32);

impl Daemon {
    /// Of this gateway.
    pub(crate) fn of(gateway: &Gateway) -> Self {
        Self(gateway.pid())
    }

    /// Holds it still while `body` runs.
    pub(crate) fn asleep<T>(self, body: impl FnOnce() -> Result<T>) -> Result<T> {
        self.signal(Signal::SIGSTOP)?;
        let end = body();
        self.signal(Signal::SIGCONT)?;
        end
    }

    /// How much of a CPU it uses while `body` runs.
    pub(crate) fn busy(self, body: impl FnOnce() -> Result<()>) -> Result<f64> {
        let (begin, before) = (Instant::now(), self.cpu_seconds()?);
        body()?;
        Ok((self.cpu_seconds()? - before) / begin.elapsed().as_secs_f64())
    }

    fn signal(self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(self.0.cast_signed()), signal)
            .with_context(|| format!("sending {signal} to snat-ctl run"))
    }

    fn cpu_seconds(self) -> Result<f64> {
        let path = format!("/proc/{}/stat", self.0);
        let stat = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let ticks = ticks(&stat).with_context(|| format!("no times in {path}: {stat}"))?;
        let second = sysconf(SysconfVar::CLK_TCK)?.context("no clock tick")?;
        Ok(ticks as f64 / second as f64)
    }
}

/// User and system time of a line of `/proc/PID/stat`: fields 14 and 15, where field 2, the name, may have anything in
/// it (proc(5)).
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::ticks;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a ) 1 b) S 1 7 7 0 -1 4194304 9 0 0 0 130 25 0 0 20 0 1 0 5 6 7";
        assert_eq!(ticks(stat), Some(155));
        assert_eq!(ticks("7 (snat-ctl) S 1"), None);
    }
}
