//! NAT rules of iptables and nft, as configuration of the gateway.
//!
//! `iptables` and `nft` read what their tools print into the rules of `model`. `walk` follows a packet through chains,
//! `forwards` and `sources` make a `draft` of the rules that translate, `others` says what becomes of the rest, and
//! `toml` writes it down. `ledger` sees to it that every rule is either in the configuration or named in a [`Note`].

mod draft;
mod exempt;
mod forward_fit;
mod forwards;
mod host;
mod iptables;
mod iptables_rule;
mod joins;
mod ledger;
mod live;
mod matches;
mod model;
mod mss;
mod names;
mod nft;
mod others;
mod owners;
mod ranges;
mod sources;
mod toml;
mod translate;
mod walk;

use serde::Serialize;

pub use self::ledger::{Kind, Note};
use self::{host::Here, model::Ruleset};
use crate::netlink::NetlinkError;

/// How rules are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// By the look of them.
    Auto,
    /// As by `iptables-save`, with or without counters.
    IptablesSave,
    /// As by `nft list ruleset`.
    Nft,
    /// As by `nft -j list ruleset`.
    NftJson,
}

/// What is not in the rules, and a person knows.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// `gateway.name`.
    pub name: Option<String>,
    /// `gateway.interfaces`, if not those that rules and routes name.
    pub interfaces: Vec<String>,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// A whole configuration file; none if no rule translates addresses of this gateway's clients.
    pub config: Option<String>,
    /// How many rules were read.
    pub rules: usize,
    /// How many of them the configuration says, or need nothing: they do nothing, or lead to others.
    pub translated: usize,
    /// All others, and what else is to be looked at; the gravest first.
    pub notes: Vec<Note>,
}

impl Imported {
    /// Whether the configuration says all that the rules said.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.notes.iter().all(|note| note.kind >= Kind::Kept)
    }
}

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The text is none of the formats.
    #[error(
        "these are no rules: {0}; accepted: what `iptables-save`, `nft list ruleset` or `nft -j list ruleset` prints"
    )]
    NoRules(String),
    /// No tool could be asked for the kernel's rules.
    #[error(
        "cannot list the kernel's rules: {0}; run as root with nft installed, or import a file"
    )]
    Nothing(String),
    /// The kernel would not say what interfaces and routes it has.
    #[error("cannot look at the interfaces and routes that the rules are for: {0}")]
    Host(#[from] NetlinkError),
    /// An interface that was named and is not there, or not of Ethernet.
    #[error("--interface {name}: this host has no such Ethernet interface; it has {known}")]
    Interface {
        /// As it was named.
        name: String,
        /// What there is, with commas between.
        known: String,
    },
}

/// Reads rules from a text. Nothing is known of the host that they are from.
///
/// # Errors
///
/// [`ImportError::NoRules`].
pub fn text(text: &str, format: Format, given: &Given) -> Result<Imported, ImportError> {
    let ruleset = read(text, format).map_err(ImportError::NoRules)?;
    Ok(translate::translate(ruleset, None, given, Vec::new()))
}

/// Reads the rules that the kernel has, and what this host's routes say of them.
///
/// # Errors
///
/// [`ImportError`], if no rules could be listed.
pub fn live(given: &Given) -> Result<Imported, ImportError> {
    let (ruleset, unread) = live::read()?;
    let here = Here::look()?;
    if let Some(name) = here.unknown(&given.interfaces) {
        return Err(ImportError::Interface {
            name: name.clone(),
            known: here.interfaces.join(", "),
        });
    }
    Ok(translate::translate(ruleset, Some(&here), given, unread))
}

fn read(text: &str, format: Format) -> Result<Ruleset, String> {
    let looks = match text.trim_start() {
        "" => return Err("the input is empty".to_owned()),
        json if json.starts_with('{') => Some(Format::NftJson),
        _ if iptables::is_it(text) => Some(Format::IptablesSave),
        _ if nft::text::is_it(text) => Some(Format::Nft),
        _ => None,
    };
    if format != Format::Auto && looks != Some(format) {
        return Err("it does not look like the format that --format names".to_owned());
    }
    match looks {
        Some(Format::IptablesSave) => Ok(iptables::read(text, "")),
        Some(Format::NftJson) => nft::json::read(text),
        Some(_) => Ok(nft::text::read(text)),
        None => Err("there is no table in it".to_owned()),
    }
}

#[cfg(test)]
mod tests;
