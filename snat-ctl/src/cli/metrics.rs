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
  snat-ctl metrics > /var/lib/prometheus/node-exporter/snat.prom

The daemon need not run. Where it does, and the configuration has [metrics], it serves the same over HTTP:
  curl http://127.0.0.1:9469/metrics")]
pub struct MetricsArgs {
    /// How to write them.
    #[arg(long, value_enum, default_value = "prometheus")]
    pub format: Format,
}
