//! Arguments of `apply`.

use std::path::PathBuf;

use clap::Args;

use super::DEFAULT_CONFIG;

/// Arguments of `apply`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  snat-ctl apply
  snat-ctl apply --config ./snat.toml --dry-run
  snat-ctl apply --json | jq .flows_ended

All of the file is applied, or none of it. Flows that are still allowed go on untouched; those that are not are ended:
whoever speaks on one is told (TCP by an RST). The daemon does it; with the daemon stopped this command does.
SIGHUP to the daemon (`systemctl reload`) applies the file that `snat-ctl run` was given.")]
pub struct ApplyArgs {
    /// Configuration file.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// Only print what would change, and how many flows would be ended.
    #[arg(long)]
    pub dry_run: bool,
    /// Print JSON instead of text.
    #[arg(long)]
    pub json: bool,
}
