//! `snat-ctl flows`: the verbs for the flow table.

use std::{num::NonZeroU32, time::Duration};

use clap::{Args, Subcommand};

use super::values::{Endpoint, endpoint, interval};
use crate::datapath::{Filter, Sort};

/// Arguments of `flows`.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  snat-ctl flows
  snat-ctl flows --source 172.16.4.9 --port 443
  snat-ctl flows --limit 20 --sort bytes
  snat-ctl flows --state syn_sent --min-age 3s     # who does not answer?
  snat-ctl flows show tcp 172.16.4.9:40000
  snat-ctl flows watch --destination 198.51.100.0/24
  snat-ctl flows flush --source 172.16.4.9 --dry-run"
)]
pub struct FlowsArgs {
    /// What to do with the flows; `list` if left out.
    #[command(subcommand)]
    pub command: Option<FlowsCommand>,
    /// Arguments of `list`, for `flows` alone.
    #[command(flatten)]
    pub list: FlowsListArgs,
}

/// The verbs of `flows`.
#[derive(Debug, Subcommand)]
pub enum FlowsCommand {
    /// List the flows.
    List(FlowsListArgs),
    /// Show all that is known of one flow, or of a client endpoint's.
    Show(FlowsShowArgs),
    /// Tell of flows that begin, change state and end, until interrupted.
    Watch(FlowsWatchArgs),
    /// Remove flows, alive or not; says how many first.
    Flush(FlowsFlushArgs),
}

/// Arguments of `flows list`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  snat-ctl flows list --limit 20 --sort bytes
  snat-ctl flows list --sort rate --limit 10 --interval 5s
  snat-ctl flows list --protocol udp --min-idle 1m --json | jq length

Without --sort: by client; more than 10000 come as the table has them, in no order.
--sort without --limit keeps the whole selection in memory, some 200 bytes a flow.")]
pub struct FlowsListArgs {
    /// Which flows.
    #[command(flatten)]
    pub filter: Filter,
    /// What comes first; with numbers the largest.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub sort: Option<Sort>,
    /// The other way round; of --sort client if there is no --sort.
    #[arg(long)]
    pub reverse: bool,
    /// At most so many, the first of the order.
    #[arg(long, value_name = "COUNT")]
    pub limit: Option<usize>,
    /// How long rates are measured for, where they are asked for.
    #[arg(long, value_name = "TIME", value_parser = interval, default_value = "1s")]
    pub interval: Duration,
    /// Print JSON: an array of objects, one in a line.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `flows show`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  snat-ctl flows show tcp 172.16.4.9:40000
  snat-ctl flows show tcp 172.16.4.9:40000 198.51.100.7:443
  snat-ctl flows show icmp 172.16.4.9 --json

Exits 1 if there is no such flow.")]
pub struct FlowsShowArgs {
    /// tcp, udp, icmp, udp_lite, sctp, gre, esp, or a number.
    #[arg(value_parser = crate::datapath::protocol)]
    pub protocol: String,
    /// The client: ADDRESS or ADDRESS:PORT. Of ICMP the port is the echo identifier.
    #[arg(value_parser = endpoint)]
    pub client: Endpoint,
    /// The server, likewise.
    #[arg(value_parser = endpoint)]
    pub server: Option<Endpoint>,
    /// Print JSON: an array of objects.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `flows watch`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  snat-ctl flows watch
  snat-ctl flows watch --source 172.16.4.9 --traffic
  snat-ctl flows watch --state syn_sent --count 10 --json

A line for each flow that is new, has changed its state, or is gone since the last look. What
begins and ends between two looks is not seen. Keeps some 300 bytes for each flow that it watches.")]
pub struct FlowsWatchArgs {
    /// Which flows.
    #[command(flatten)]
    pub filter: Filter,
    /// How often to look.
    #[arg(long, value_name = "TIME", value_parser = interval, default_value = "1s")]
    pub interval: Duration,
    /// End after so many looks.
    #[arg(long, value_name = "COUNT")]
    pub count: Option<NonZeroU32>,
    /// A line for each flow that had packets, too.
    #[arg(long)]
    pub traffic: bool,
    /// Print JSON: an object in each line.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `flows flush`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  snat-ctl flows flush --source 172.16.4.9 --dry-run
  snat-ctl flows flush --source 172.16.4.9 --protocol udp --yes
  snat-ctl flows flush --all

What a flow's next packet then meets is what one without a flow meets: UDP and ICMP open a new flow,
a TCP connection is gone, and its client is told by an RST (answers.reset).")]
pub struct FlowsFlushArgs {
    /// Which flows.
    #[command(flatten)]
    pub filter: Filter,
    /// Every flow: needed where nothing else says which.
    #[arg(long)]
    pub all: bool,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
    /// Say how many, and remove none.
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
    /// How long rates are measured for, where they are asked for.
    #[arg(long, value_name = "TIME", value_parser = interval, default_value = "1s")]
    pub interval: Duration,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}
