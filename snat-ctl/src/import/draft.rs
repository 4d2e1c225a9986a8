//! The configuration that comes out of the rules.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddrV4},
    path::Path,
};

use ipnet::Ipv4Net;

use super::{matches::TCP, names::Names, ranges::Ranges};
use crate::config::{Config, ConfigError, MssClamp};

/// What is known of it so far. Numbers are those of rules.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) entries: Vec<Entry>,
    pub(super) bypass: Vec<Bypass>,
    pub(super) forwards: Vec<Forward>,
    /// Those that rules name.
    pub(super) interfaces: BTreeSet<String>,
    pub(super) mss: Option<(MssClamp, usize)>,
}

/// An `[[snat]]`.
#[derive(Debug)]
pub(super) struct Entry {
    /// As written: of nested prefixes the longest wins, so shorter ones may hold other entries'.
    pub(super) prefixes: Vec<Ipv4Net>,
    /// What is this entry's or an earlier one's.
    pub(super) source: Ranges,
    /// `None`: the interface's own.
    pub(super) external: Option<Vec<String>>,
    pub(super) ports: Option<String>,
    pub(super) output: Names,
    /// By which interfaces its clients come, where their prefixes do not say it.
    pub(super) input: Names,
    pub(super) protocol: Ranges,
    /// Destinations that its rules do not translate to.
    pub(super) exempt: Vec<Bypass>,
    pub(super) rules: Vec<usize>,
}

/// A `[[bypass]]`.
#[derive(Clone, Debug)]
pub(super) struct Bypass {
    pub(super) destination: Ranges,
    /// None where the host's routes say so.
    pub(super) rule: Option<usize>,
}

/// A `[[forward]]`.
#[derive(Debug)]
pub(super) struct Forward {
    pub(super) protocol: u32,
    pub(super) external: SocketAddrV4,
    pub(super) internal: SocketAddrV4,
    pub(super) rule: usize,
}

impl Draft {
    /// What entries are not for becomes bypasses, once all of them are known.
    pub(super) fn settle(&mut self) {
        for Bypass { destination, rule } in self.entries.iter().flat_map(|entry| &entry.exempt) {
            let destination = destination.without(&all(&self.bypass));
            if !destination.is_empty() {
                self.bypass.push(Bypass {
                    destination,
                    rule: *rule,
                });
            }
        }
    }

    /// All that is bypassed.
    pub(super) fn bypassed(&self) -> Ranges {
        all(&self.bypass)
    }

    /// All whom an `[[snat]]` is for.
    pub(super) fn clients(&self) -> Ranges {
        let sources = self.entries.iter().map(|entry| &entry.source);
        sources.fold(Ranges::none(), |all, one| all.or(one))
    }

    /// Whom forwards lead to.
    pub(super) fn internal(&self) -> Ranges {
        let addrs = self
            .forwards
            .iter()
            .map(|forward| u32::from(*forward.internal.ip()));
        Ranges::of(addrs.map(|addr| (addr, addr)).collect())
    }
}

impl Entry {
    /// Destinations that it is not for.
    pub(super) fn exempted(&self) -> Ranges {
        all(&self.exempt)
    }
}

fn all(bypass: &[Bypass]) -> Ranges {
    bypass
        .iter()
        .fold(Ranges::none(), |all, one| all.or(&one.destination))
}

impl Forward {
    pub(super) const fn protocol_name(&self) -> &'static str {
        if self.protocol == TCP { "tcp" } else { "udp" }
    }
}

/// Asks the configuration's own reader.
///
/// # Errors
///
/// What is wrong with it, in a line.
pub(super) fn accepted(sections: &str) -> Result<(), String> {
    let text = format!("[gateway]\ninterfaces = [\"eth0\"]\n{sections}");
    warnings(&text).map(drop)
}

/// As [`accepted`], of a whole file: what deserves a word.
pub(super) fn warnings(text: &str) -> Result<Vec<String>, String> {
    match Config::parse(text, Path::new("snat.toml")) {
        Ok(config) => Ok(config.warnings),
        Err(ConfigError::Invalid(problems)) => {
            let each: Vec<_> = problems
                .iter()
                .map(|problem| problem.what.clone())
                .collect();
            Err(each.join("; "))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// The one address, if it is one.
pub(super) fn address(text: &str) -> Option<Ipv4Addr> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    (first == last).then(|| first.parse().ok()).flatten()
}
