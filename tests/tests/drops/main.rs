//! `snat-ctl drops`: every packet that is dropped shows, with its reason.

mod crowded;
mod every_reason;
mod files;
mod odd;
mod plain;
mod strangers;
mod watcher;
mod watching;

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context as _, Result};
use snat_common::Verdict;
use snat_tests::gateway::Gateway;

const SOON: Duration = Duration::from_secs(10);

/// A packet that must have been dropped: why, and its addresses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Provoked {
    reason: Verdict,
    src: Ipv4Addr,
    dst: Ipv4Addr,
}

/// How many packets `drops` counts for a reason.
pub(crate) fn counted(gateway: &Gateway, reason: Verdict) -> Result<u64> {
    let drops = gateway.ctl_json(&["drops", "--interval", "0s", "--reason", reason.name()])?;
    drops["reasons"][0]["packets"]
        .as_u64()
        .with_context(|| format!("no {reason:?}: {drops}"))
}
