//! More notifications than the daemon's socket holds (ENOBUFS).

use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sys::signal::Signal;

use super::{
    connections::Connections,
    kept::{Kept, PATIENCE},
    rule_of_eth1,
};

/// Far more than a socket's buffer holds.
const FLOOD: u32 = 5_000;

#[test]
fn notifications_that_are_lost() -> Result<()> {
    let kept = Kept::eth1()?;
    let whole = kept.ours()?;
    let connections = Connections::open(&kept.enis)?;
    kept.signal(Signal::SIGSTOP)?;
    let flood: String = (0..FLOOD)
        .map(|n| format!("route add 10.{}.{}.0/24 dev lo table 7\n", n / 256, n % 256))
        .collect();
    kept.enis.vm.ip(&flood)?;
    kept.ip("route flush table 7")?;
    // The news of these does not fit any more.
    kept.ip(&format!("rule del {}", rule_of_eth1()))?;
    kept.ip("-6 route flush table 1001")?;
    kept.signal(Signal::SIGCONT)?;
    let start = Instant::now();
    kept.becomes(&whole, Duration::from_secs(5))?;
    println!(
        "lost notifications: whole {} ms after the daemon could hear again",
        start.elapsed().as_millis()
    );
    kept.says("notifications ran over", PATIENCE)?;
    connections.finish()
}
