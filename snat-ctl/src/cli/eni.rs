//! `snat-ctl eni`: the verbs for policy routes.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

use crate::eni::render::Format;

/// Arguments of `eni`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  snat-ctl eni plan
  snat-ctl eni apply --confirm 60s     # then look around, and:
  snat-ctl eni confirm
  snat-ctl eni verify
  snat-ctl eni remove

`snat-ctl run` keeps what was applied: it repairs what others undo.")]
pub struct EniArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: EniCommand,
    /// Configuration file [default: /etc/snat/snat.toml; `verify`: what was applied].
    ///
    /// `status`, `confirm`, `revert` and `remove` are about what was applied, `import` makes one; they read none.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
}

/// The verbs of `eni`.
#[derive(Debug, Subcommand)]
pub enum EniCommand {
    /// Show what `apply` would change; change nothing.
    #[command(after_help = "\
Examples:
  snat-ctl eni plan
  snat-ctl eni plan --config ./snat.toml --json")]
    Plan,
    /// Bring rules and routes to the configuration.
    Apply(ApplyArgs),
    /// Keep what `apply --confirm` has changed.
    #[command(after_help = "\
Examples:
  snat-ctl eni apply --confirm 60s && ssh gateway true && snat-ctl eni confirm")]
    Confirm,
    /// Take back what `apply --confirm` has changed, now.
    #[command(after_help = "\
Examples:
  snat-ctl eni revert")]
    Revert,
    /// Ask the kernel's route lookup whether every intent holds; exits 3 if one does not.
    Verify(VerifyArgs),
    /// Show the interfaces, their tables, and who keeps them.
    #[command(after_help = "\
Examples:
  snat-ctl eni status
  snat-ctl eni status --json | jq .")]
    Status,
    /// Remove every rule and route of ours, and nothing else.
    #[command(after_help = "\
Examples:
  snat-ctl eni remove")]
    Remove,
    /// Read existing rules, or a script with the documented commands, into a configuration.
    Import(ImportArgs),
    /// Write the same intent for machines without snat-ctl.
    Render(RenderArgs),
    /// Wait for the deadline of `apply --confirm`.
    #[command(hide = true)]
    Guard,
}

/// Arguments of `eni apply`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  snat-ctl eni apply --confirm 60s     # taken back by itself, unless confirmed
  snat-ctl eni apply --config ./snat.toml")]
pub struct ApplyArgs {
    /// Take everything back after this time unless `snat-ctl eni confirm` is called.
    ///
    /// A process of its own waits for that, which neither the end of the terminal nor of this process reaches. If it is
    /// killed, `snat-ctl run` takes the change back, else the next `snat-ctl eni apply`.
    #[arg(long, value_name = "TIME", value_parser = confirm_time)]
    pub confirm: Option<Duration>,
}

/// Arguments of `eni verify`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  snat-ctl eni verify
  snat-ctl eni verify --probe 198.51.100.7 --probe 198.51.100.7:443")]
pub struct VerifyArgs {
    /// Also send to this address from every source: ICMP echo, or a TCP connection if it has a port.
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = probe_target)]
    pub probe: Vec<ProbeTarget>,
}

/// Whom `verify --probe` asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeTarget {
    /// Its address.
    pub addr: IpAddr,
    /// Its TCP port; `None` for ICMP echo.
    pub port: Option<u16>,
}

/// Arguments of `eni import`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  snat-ctl eni import /etc/rc.local > snat.toml
  snat-ctl eni import                   # of what the kernel has now")]
pub struct ImportArgs {
    /// A script, such as /etc/rc.local; the kernel's own rules and routes if left out; `-` is standard input.
    pub file: Option<PathBuf>,
}

/// Arguments of `eni render`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  snat-ctl eni render --format networkd")]
pub struct RenderArgs {
    /// For what.
    #[arg(long)]
    pub format: Format,
}

fn confirm_time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let fits = (Duration::from_secs(1)..=Duration::from_secs(86_400)).contains(&time);
    fits.then_some(time)
        .ok_or_else(|| "not a time from 1s to 1day".to_owned())
}

fn probe_target(text: &str) -> Result<ProbeTarget, String> {
    if let Ok(addr) = text.parse::<IpAddr>() {
        return Ok(ProbeTarget { addr, port: None });
    }
    let socket: std::net::SocketAddr = text
        .parse()
        .map_err(|_| "not an address, ADDRESS:PORT or [ADDRESS]:PORT".to_owned())?;
    Ok(ProbeTarget {
        addr: socket.ip(),
        port: Some(socket.port()),
    })
}
