//! Arguments of `status`.

use std::time::Duration;

use clap::Args;

use super::values::interval_or_none;

/// Arguments of `status`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  snat-ctl status
  snat-ctl status --all                        # every verdict and event since the start
  snat-ctl status --name blue --json | jq '.problems[] | .what'
  snat-ctl status --check --interval 0 >/dev/null || page-somebody

The first line is `ok`, or `degraded` with the number of problems; each problem follows with what to do.
Exits 0 whatever it finds; with --check 3 if it is degraded.")]
pub struct StatusArgs {
    /// Print JSON instead of a screen.
    #[arg(long)]
    pub json: bool,
    /// Show what became of all packets, and all events, since the start.
    #[arg(long)]
    pub all: bool,
    /// Exit 3 if there is a problem.
    #[arg(long)]
    pub check: bool,
    /// Time between the two looks that rates and present drops are made from; 0 for neither.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval_or_none)]
    pub interval: Duration,
}
