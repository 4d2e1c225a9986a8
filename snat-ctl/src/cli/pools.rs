//! `snat-ctl pools`.

use std::time::Duration;

use clap::Args;

use super::values::interval;

/// Arguments of `pools`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  snat-ctl pools
  snat-ctl pools --limit 20 --interval 10s
  snat-ctl pools --json | jq '.pools[] | select(.free == 0)'

A pool is the ports of an external address and protocol. USED are a client endpoint's own, with flows;
RESTING had theirs a moment ago and are kept for it (timeouts.port_rest). Flows that share ports
between destinations, with mapping = \"address-and-port-dependent\" or once a pool of \"auto\" is used
up, run out by destination: the second table.")]
pub struct PoolsArgs {
    /// How many destinations, the fullest first.
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    pub limit: usize,
    /// How long growth is measured for.
    #[arg(long, value_name = "TIME", value_parser = interval, default_value = "1s")]
    pub interval: Duration,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}
