//! `snat-ctl drops`: what was dropped, counted or as it happens.

use std::{path::PathBuf, time::Duration};

use clap::{ArgGroup, Args};
use ipnet::Ipv4Net;
use snat_common::Verdict;

use super::values::interval_or_none;
use crate::datapath::{network, time};

/// Arguments of `drops`.
#[derive(Args, Debug)]
#[command(
    group = ArgGroup::new("live").args(["watch", "pcap"]).multiple(true),
    after_help = "\
Examples:
  snat-ctl drops
  snat-ctl drops --all --interval 10s
  snat-ctl drops --json | jq '.reasons[] | select(.packets > 0)'
  snat-ctl drops --watch --host 172.16.4.9
  snat-ctl drops --watch --reason ports_exhausted --reason table_full --count 10
  snat-ctl drops --watch --json --duration 1m > drops.jsonl
  snat-ctl drops --pcap drops.pcapng --duration 1m
  snat-ctl drops --pcap - --destination 198.51.100.0/24 | wireshark -k -i -

One process can watch an instance at a time. What it is not shown (more than --per-second, or
faster than it reads) is counted and said at the end."
)]
pub struct DropsArgs {
    /// Show each packet as it is dropped, until interrupted.
    #[arg(long)]
    pub watch: bool,
    /// Write the dropped packets to this file (pcapng, reason as comment; - for standard output)
    /// until interrupted. A file that is there is kept, unless --force.
    #[arg(long, value_name = "FILE")]
    pub pcap: Option<PathBuf>,
    /// Overwrite the file of --pcap.
    #[arg(long, requires = "pcap")]
    pub force: bool,
    /// Only drops for this reason; may be given several times.
    #[arg(long = "reason", value_name = "REASON", value_parser = reason)]
    pub reasons: Vec<Verdict>,
    /// Only packets from this address or prefix.
    #[arg(long, value_name = "PREFIX", value_parser = network, requires = "live")]
    pub source: Option<Ipv4Net>,
    /// Only packets to this address or prefix.
    #[arg(long, value_name = "PREFIX", value_parser = network, requires = "live")]
    pub destination: Option<Ipv4Net>,
    /// Only packets from or to this address or prefix.
    #[arg(long, value_name = "PREFIX", value_parser = network, requires = "live",
          conflicts_with_all = ["source", "destination"])]
    pub host: Option<Ipv4Net>,
    /// At most so many packets a second, and as many at once after a pause.
    #[arg(long, value_name = "NUMBER", default_value_t = 100, requires = "live",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub per_second: u32,
    /// End after so many packets.
    #[arg(long, value_name = "NUMBER", requires = "live")]
    pub count: Option<u64>,
    /// End after so long, as 30s or 5m.
    #[arg(long, value_name = "TIME", requires = "live", value_parser = time)]
    pub duration: Option<Duration>,
    /// How long to measure rates for, as 10s; 0 for none.
    #[arg(long, value_name = "TIME", default_value = "1s", conflicts_with = "live",
          value_parser = interval_or_none)]
    pub interval: Duration,
    /// Show reasons that never occurred, too.
    #[arg(long, conflicts_with = "live")]
    pub all: bool,
    /// Print JSON: one document, or with --watch one object a line.
    #[arg(long)]
    pub json: bool,
}

fn reason(text: &str) -> Result<Verdict, String> {
    Verdict::drops()
        .find(|verdict| verdict.name() == text)
        .ok_or_else(|| {
            let names: Vec<_> = Verdict::drops().map(Verdict::name).collect();
            format!("no reason of a drop; there are: {}", names.join(", "))
        })
}
