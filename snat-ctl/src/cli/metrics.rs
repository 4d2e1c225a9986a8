//! Arguments of `metrics`.

use clap::Args;

use crate::metrics::Format;

/// Arguments of `metrics`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  snat-ctl metrics
  snat-ctl metrics | promtool check metrics
  snat-ctl metrics --format openmetrics
  snat-ctl metrics --json | jq '.[] | select(.name == \"snat_drops_total\").samples[]'
  snat-ctl metrics > /var/lib/prometheus/node-exporter/snat.prom

The daemon need not run. Where it does, and the configuration has [metrics], it serves the same over HTTP:
  curl http://127.0.0.1:9469/metrics")]
pub struct MetricsArgs {
    /// How to write them.
    #[arg(long, value_enum, default_value = "prometheus")]
    pub format: Format,
    /// Print JSON instead: an array of name, type, help and samples.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}
