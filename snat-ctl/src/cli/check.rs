//! Arguments of `check`.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `check`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  snat-ctl check
  snat-ctl check --fix --dry-run               # what --fix would change
  snat-ctl check --config ./snat.toml --json | jq '.findings[] | select(.severity == \"fatal\")'

--fix sets net.ipv4.ip_forward, the interfaces' forwarding and, with one interface, send_redirects; it keeps
them for the next boot in /etc/sysctl.d/90-snat-NAME.conf, and touches nothing else.

Exits 3 when any finding is fatal, 2 when the configuration itself is wrong.")]
pub struct CheckArgs {
    /// Configuration file.
    #[arg(long, value_name = "FILE", default_value = super::DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
    /// First set what is safe to set and easy to take back: kernel settings that the gateway needs.
    #[arg(long)]
    pub fix: bool,
    /// With --fix: only say what would be changed.
    #[arg(long, requires = "fix")]
    pub dry_run: bool,
}
