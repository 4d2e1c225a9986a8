//! Arguments of `import`.

use std::path::PathBuf;

use clap::Args;

use crate::import::Format;

/// Arguments of `import`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  snat-ctl import --output snat.toml           # of the rules that the kernel has now
  iptables-save | snat-ctl import - > snat.toml
  snat-ctl import rules.v4 --interface eth0 --interface eth1
  snat-ctl import --json | jq '.notes[] | select(.kind == \"left_out\")'

The configuration goes to standard output; what it does not say, or not as it was, to standard error, each rule with the
reason and what to do. Nothing is changed: docs/guides/replace-iptables.md says how to go on.

Exits 3 when anything was left out or differs, 2 when the input is not understood.")]
pub struct ImportArgs {
    /// What `iptables-save`, `nft list ruleset` or `nft -j list ruleset` has printed; `-` is standard input.
    ///
    /// If left out: standard input where that is a pipe or a file, else the kernel's own rules.
    #[arg(conflicts_with = "live")]
    pub file: Option<PathBuf>,
    /// How the file is written.
    #[arg(long, value_enum, default_value_t = Format::Auto)]
    pub format: Format,
    /// Ask the kernel for its rules, of nft and of both kinds of iptables, and for the routes that they are for.
    #[arg(long)]
    pub live: bool,
    /// An interface of the gateway, in place of those that rules and routes name; several times for several.
    #[arg(long, value_name = "INTERFACE")]
    pub interface: Vec<String>,
    /// Write the configuration into this file, which must not be there yet.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Print JSON: the configuration, how many rules, and the notes.
    #[arg(long)]
    pub json: bool,
}
