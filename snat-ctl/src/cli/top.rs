//! Arguments of `top`.

use std::{str::FromStr, time::Duration};

use clap::{Args, ValueEnum};

use super::values::interval;
use crate::datapath::{Filter, FilterError};

/// Arguments of `top`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  snat-ctl top
  snat-ctl top --view flows --filter 'destination=198.51.100.0/24 port=443'
  snat-ctl top --view drops --interval 5s
  snat-ctl top --once --view destinations > busy.txt
  snat-ctl top --json | jq '.traffic.clients[0]'

A filter has the words of `snat-ctl flows` as word=value, and selects sources, destinations and flows.
Keys: 1-5 and tab views, s sort, r reverse, / filter, p pause, + - interval, ? help, q quit. It goes on
when the gateway is unloaded, and waits for it. Walks over a large table are further apart than
--interval says, so that they take a fifth of the time at most.")]
pub struct TopArgs {
    /// What to show first.
    #[arg(long, value_enum, default_value = "sources")]
    pub view: View,
    /// What it is sorted by; with numbers the largest first.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub sort: Option<TopSort>,
    /// The other way round.
    #[arg(long)]
    pub reverse: bool,
    /// Which flows, as 'source=172.16.4.9 port=80,443'.
    #[arg(
        long,
        value_name = "FILTER",
        default_value = "",
        hide_default_value = true
    )]
    pub filter: Selection,
    /// Time between two looks, which rates are over.
    #[arg(long, value_name = "TIME", value_parser = interval, default_value = "2s")]
    pub interval: Duration,
    /// Print one screen as plain text, and end. COLUMNS and LINES say how large where that is no terminal.
    #[arg(long)]
    pub once: bool,
    /// Print JSON: what all views show, once; of long lists the first 200.
    #[arg(long)]
    pub json: bool,
}

/// What is on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum View {
    /// Clients.
    Sources,
    /// Servers.
    Destinations,
    /// External addresses, their ports, and where these run out first.
    Pools,
    /// Why packets were dropped.
    Drops,
    /// Flows one by one.
    Flows,
}

/// What a view may be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TopSort {
    /// Bits a second; of drops packets a second.
    Rate,
    /// Packets a second; of drops and flows packets.
    Packets,
    /// How many flows.
    Flows,
    /// Bytes of the flows there are.
    Bytes,
    /// The address.
    Address,
    /// Share of the ports that is taken.
    Used,
    /// Ports more in a second.
    Growth,
    /// The reason's name.
    Name,
    /// Time since it was opened.
    Age,
    /// Time without a packet.
    Idle,
    /// The client's address and port.
    Client,
    /// The server's address and port.
    Server,
    /// The state.
    State,
}

impl View {
    /// All of them, in the order of their keys.
    pub const ALL: [Self; 5] = [
        Self::Sources,
        Self::Destinations,
        Self::Pools,
        Self::Drops,
        Self::Flows,
    ];

    /// What it may be sorted by; the first unless something is said.
    #[must_use]
    pub const fn sorts(self) -> &'static [TopSort] {
        use TopSort::{
            Address, Age, Bytes, Client, Flows, Growth, Idle, Name, Packets, Rate, Server, State,
            Used,
        };
        match self {
            Self::Sources | Self::Destinations => &[Rate, Packets, Flows, Bytes, Address],
            Self::Pools => &[Used, Growth, Address],
            Self::Drops => &[Rate, Packets, Name],
            Self::Flows => &[Rate, Bytes, Packets, Age, Idle, Client, Server, State],
        }
    }
}

/// A filter, and the text that it was given by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// As it was written.
    pub text: String,
    /// What it means.
    pub filter: Filter,
}

impl FromStr for Selection {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Ok(Self {
            text: text.trim().to_owned(),
            filter: text.parse()?,
        })
    }
}

/// The word on the command line.
pub(crate) fn word(value: &impl ValueEnum) -> String {
    let word = value.to_possible_value();
    word.map_or_else(String::new, |word| word.get_name().to_owned())
}
