//! `snat-ctl adopt`.

use std::path::PathBuf;

use clap::Args;

use super::DEFAULT_CONFIG;

/// Arguments of `adopt`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  snat-ctl adopt --plan
  snat-ctl adopt --plan --json | jq '.cut[] | {reason, count}'
  snat-ctl adopt && systemctl start snat-ctl

Leaves the datapath at work and ends; `snat-ctl run` then looks after it. The kernel's NAT rules for these
clients can go from then on: not before, since until then it still opens connections. Exits with 3, and
changes nothing, if a connection that lives would be cut; --anyway takes over the others.
Back: `snat-ctl unload --hand-back`.")]
pub struct AdoptArgs {
    /// Configuration file.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// Only say what would be taken over, and what not and why.
    #[arg(long)]
    pub plan: bool,
    /// Take over what can be, also if others are cut.
    #[arg(long, conflicts_with = "plan")]
    pub anyway: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}
