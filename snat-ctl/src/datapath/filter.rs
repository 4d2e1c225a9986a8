//! Which flows are meant: one set of words for the options of commands and for a line of text.

mod values;

use std::{str::FromStr, time::Duration};

use clap::Args;
use ipnet::Ipv4Net;

use super::Flow;
use values::{Rate, port, state};
pub use values::{network, protocol, time};

/// What a flow must be. Of a word's values, separated by commas, any will do; a word that is not given is no matter.
///
/// As text it is `source=172.16.4.9 port=80,443 protocol=tcp`, with the names of the options.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Which flows")]
pub struct Filter {
    /// The client: an address or a prefix.
    #[arg(long, value_name = "PREFIX", value_delimiter = ',', value_parser = network)]
    pub source: Vec<Ipv4Net>,
    /// The server: an address or a prefix.
    #[arg(long, value_name = "PREFIX", value_delimiter = ',', value_parser = network)]
    pub destination: Vec<Ipv4Net>,
    /// The address that the server sees: an address or a prefix.
    #[arg(long, value_name = "PREFIX", value_delimiter = ',', value_parser = network)]
    pub external: Vec<Ipv4Net>,
    /// The client's port, or echo identifier.
    #[arg(long, value_name = "PORT", value_delimiter = ',', value_parser = port)]
    pub source_port: Vec<u16>,
    /// The server's port.
    #[arg(long, value_name = "PORT", value_delimiter = ',', value_parser = port)]
    pub port: Vec<u16>,
    /// The port, or echo identifier, that the server sees.
    #[arg(long, value_name = "PORT", value_delimiter = ',', value_parser = port)]
    pub external_port: Vec<u16>,
    /// tcp, udp, icmp, udp_lite, sctp, gre, esp, or a number.
    #[arg(long, value_name = "PROTOCOL", value_delimiter = ',', value_parser = protocol)]
    pub protocol: Vec<String>,
    /// syn_sent, syn_received, established, fin_out, fin_in, closing, reset, udp, echo, other, dead.
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = state)]
    pub state: Vec<String>,
    /// The interface by which its packets to the server leave.
    #[arg(long, value_name = "INTERFACE", value_delimiter = ',')]
    pub eni: Vec<String>,
    /// Opened at least so long ago, as `2h 4m`.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub min_age: Option<Duration>,
    /// Opened at most so long ago.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub max_age: Option<Duration>,
    /// Without a packet either way for at least so long.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub min_idle: Option<Duration>,
    /// Both directions together, now: 10Mbit, 500kB (bits or bytes a second: bit kbit Mbit Gbit, B kB MB GB).
    #[arg(long, value_name = "RATE")]
    pub min_rate: Option<Rate>,
}

/// Why a line of text is no [`Filter`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Not `word=value`.
    #[error("{0:?} is not of the form word=value, as source=172.16.4.9")]
    NoValue(String),
    /// No such word.
    #[error("there is no filter {word:?}; there are {}", WORDS.join(", "))]
    Unknown {
        /// What was given.
        word: String,
    },
    /// The word is there, its value is wrong.
    #[error("{word}={value}: {reason}")]
    Value {
        /// The word.
        word: String,
        /// Its value, or the one of several that is wrong.
        value: String,
        /// What is wrong, and what is accepted.
        reason: String,
    },
}

/// The words of a filter.
const WORDS: [&str; 13] = [
    "source",
    "destination",
    "external",
    "source-port",
    "port",
    "external-port",
    "protocol",
    "state",
    "eni",
    "min-age",
    "max-age",
    "min-idle",
    "min-rate",
];

impl Filter {
    /// Whether every flow is meant.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the flow is meant. A rate that was not measured is no matter.
    #[must_use]
    pub fn matches(&self, flow: &Flow) -> bool {
        let idle = flow.idle_seconds;
        let rate = flow.bits_per_second;
        let eni = flow.eni.as_deref().unwrap_or_default();
        self.admits(flow)
            && any(&self.state, |state| state == flow.state)
            && any(&self.eni, |name| name == eni)
            && self
                .min_idle
                .is_none_or(|least| idle >= least.as_secs_f64())
            && (self.min_rate.zip(rate)).is_none_or(|(least, rate)| rate >= least.bits_per_second())
    }

    /// Whether it may be, by what the entry of direction `Out` knows: the server's packets are not needed for that.
    pub(super) fn admits(&self, flow: &Flow) -> bool {
        let (age, idle) = (flow.age_seconds, flow.idle_seconds);
        self.names(flow)
            && self.min_age.is_none_or(|least| age >= least.as_secs_f64())
            && self.max_age.is_none_or(|most| age <= most.as_secs_f64())
            // A packet from the server can only make it less.
            && self.min_idle.is_none_or(|least| idle >= least.as_secs_f64())
    }

    /// The part that is about addresses, ports and protocols.
    pub(super) fn ends(&self) -> Self {
        Self {
            state: Vec::new(),
            eni: Vec::new(),
            min_age: None,
            max_age: None,
            min_idle: None,
            min_rate: None,
            ..self.clone()
        }
    }

    fn names(&self, flow: &Flow) -> bool {
        any(&self.source, |net| net.contains(&flow.client))
            && any(&self.destination, |net| net.contains(&flow.server))
            && any(&self.external, |net| net.contains(&flow.external))
            && any(&self.source_port, |port| *port == flow.client_port)
            && any(&self.port, |port| *port == flow.server_port)
            && any(&self.external_port, |port| *port == flow.external_port)
            && any(&self.protocol, |name| *name == flow.protocol)
    }

    fn set(&mut self, word: &str, value: &str) -> Result<(), FilterError> {
        let wrong = |value: &str, reason: String| FilterError::Value {
            word: word.to_owned(),
            value: value.to_owned(),
            reason,
        };
        macro_rules! all {
            ($list:expr, $parse:expr) => {
                for value in value.split(',') {
                    $list.push($parse(value).map_err(|reason| wrong(value, reason))?);
                }
            };
        }
        let time = || time(value).map(Some).map_err(|reason| wrong(value, reason));
        match word {
            "source" => all!(self.source, network),
            "destination" => all!(self.destination, network),
            "external" => all!(self.external, network),
            "source-port" => all!(self.source_port, port),
            "port" => all!(self.port, port),
            "external-port" => all!(self.external_port, port),
            "protocol" => all!(self.protocol, protocol),
            "state" => all!(self.state, state),
            "eni" => self.eni.extend(value.split(',').map(str::to_owned)),
            "min-age" => self.min_age = time()?,
            "max-age" => self.max_age = time()?,
            "min-idle" => self.min_idle = time()?,
            "min-rate" => {
                let rate = value.parse().map_err(|reason| wrong(value, reason))?;
                self.min_rate = Some(rate);
            }
            _ => {
                let word = word.to_owned();
                return Err(FilterError::Unknown { word });
            }
        }
        Ok(())
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let mut filter = Self::default();
        for part in text.split_whitespace() {
            let Some((word, value)) = part.split_once('=') else {
                return Err(FilterError::NoValue(part.to_owned()));
            };
            filter.set(word, value)?;
        }
        Ok(filter)
    }
}

/// Whether one of them fits, or there is none to fit.
fn any<T>(accepted: &[T], fits: impl FnMut(&T) -> bool) -> bool {
    accepted.is_empty() || accepted.iter().any(fits)
}

#[cfg(test)]
mod tests;
