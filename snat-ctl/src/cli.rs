//! The command line: one clap source, from which help, completions and man pages are made.

pub mod adopt;
pub mod apply;
pub mod check;
pub mod drops;
pub mod eni;
pub mod explain;
pub mod flows;
pub mod import;
pub mod metrics;
pub mod pools;
pub mod status;
pub mod top;
pub mod values;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::trace::TraceFilter;

/// Where the configuration is read from unless `--config` says otherwise.
pub const DEFAULT_CONFIG: &str = "/etc/snat/snat.toml";
/// The instance meant when neither `--name` nor a configuration says otherwise.
pub const DEFAULT_NAME: &str = "default";

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed
  2  wrong usage or wrong configuration; nothing was changed
  3  a check or a verification found a problem";

/// SNAT gateway: instances without a public address reach the Internet through this host.
///
/// The datapath is eBPF (XDP or TC) and stays in the kernel; this program loads, configures and shows it.
#[derive(Debug, Parser)]
#[command(name = "snat-ctl", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// What concerns every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes, before or after the verb.
#[derive(Args, Debug, Clone, Default)]
pub struct Global {
    /// The gateway instance [default: `default`, or `gateway.name` where a configuration is read].
    #[arg(long, global = true, value_name = "NAME", value_parser = instance_name)]
    pub name: Option<String>,
}

impl Global {
    /// The instance, for commands that read no configuration.
    #[must_use]
    pub fn instance(&self) -> &str {
        self.name.as_deref().unwrap_or(DEFAULT_NAME)
    }
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look for everything that would keep the gateway from working, or get in its way
    Check(check::CheckArgs),
    /// Load the datapath, attach it, and stay to age out flows.
    Run(RunArgs),
    /// Take over the live connections of the kernel's own NAT, so that a switch from iptables or nft cuts none.
    Adopt(adopt::AdoptArgs),
    /// Bring the running gateway to a configuration, with no packet lost; print what changes.
    Apply(apply::ApplyArgs),
    /// Say whether all is well, and if not, what is wrong and what to do.
    Status(status::StatusArgs),
    /// Say what would happen to a packet now, decision by decision; change nothing.
    Explain(explain::ExplainArgs),
    /// List, watch or remove flows.
    Flows(Box<flows::FlowsArgs>),
    /// Show the external ports: used, free, and when they run out.
    Pools(pools::PoolsArgs),
    /// Show what was dropped and why; watch it; write it to a capture file.
    Drops(drops::DropsArgs),
    /// Watch rates, sources, destinations, pools, drops and flows on a screen that follows them.
    Top(Box<top::TopArgs>),
    /// Print the metrics once, in a form that Prometheus reads.
    Metrics(metrics::MetricsArgs),
    /// Read existing iptables or nft rules into a configuration, and name what cannot be said in one.
    Import(import::ImportArgs),
    /// Policy routes: what comes in by an interface (ENI) is answered by that interface.
    Eni(eni::EniArgs),
    /// Detach and remove everything this instance owns in the kernel, and nothing else.
    Unload(UnloadArgs),
    /// Print shell completions.
    Completions(CompletionsArgs),
    /// Print the manual as roff, or write one page per command.
    Man(ManArgs),
}

/// Arguments of `run`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  snat-ctl run
  snat-ctl run --config ./snat.toml --detach-on-exit
  snat-ctl run --rollback
  snat-ctl run --trace 'source=172.16.4.9 port=443 protocol=tcp'

SIGTERM and SIGINT end the process; the datapath goes on translating, pinned under
/sys/fs/bpf/snat/NAME, until `snat-ctl unload`.")]
pub struct RunArgs {
    /// Configuration file.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// Take the datapath down on exit instead of leaving it at work.
    #[arg(long)]
    pub detach_on_exit: bool,
    /// Print the kernel verifier's whole log if it refuses a program.
    #[arg(long)]
    pub verifier_log: bool,
    /// Put the programs back to work that were before the last upgrade, and serve those; again, and it goes forth again.
    /// Flows stay. A `run` without it upgrades anew.
    #[arg(long, conflicts_with = "trace")]
    pub rollback: bool,
    /// Say on standard error what is decided about the packets that match, until this process ends: words and values
    /// as of `flows`, in one string.
    #[arg(long, value_name = "FILTER")]
    pub trace: Option<TraceFilter>,
}

/// Arguments of `unload`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  snat-ctl unload
  snat-ctl unload --name blue
  snat-ctl unload --hand-back

--hand-back first gives the flows to the kernel's connection tracking: its NAT rules, which must be there
already, go on with them under the same external addresses and ports.")]
pub struct UnloadArgs {
    /// Give the flows to the kernel's own NAT before the datapath goes.
    #[arg(long)]
    pub hand_back: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `completions`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  snat-ctl completions bash > /etc/bash_completion.d/snat-ctl
  source <(snat-ctl completions zsh)")]
pub struct CompletionsArgs {
    /// The shell.
    pub shell: clap_complete::Shell,
}

/// Arguments of `man`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  snat-ctl man | man -l -
  snat-ctl man /usr/local/share/man/man1")]
pub struct ManArgs {
    /// Write one page per command into this directory (made if missing) instead of printing.
    pub dir: Option<PathBuf>,
}

fn instance_name(text: &str) -> Result<String, String> {
    crate::config::check_name(text).map(|()| text.to_owned())
}
