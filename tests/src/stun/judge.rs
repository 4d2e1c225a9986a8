//! The STUN clients, and what each of them says of a NAT.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use super::{Filtering, Mapping};
use crate::{netns::Netns, program};

/// A STUN client that finds out what kind of NAT it is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// coturn's: RFC 5780; mapping and filtering, each from a socket of its own.
    Coturn,
    /// Debian's stun-client (stund): RFC 3489; filtering only where the mapping doesn't depend on the server.
    Stund,
    /// From Python's registry: the classes of RFC 3489 section 5. Asks the second server address after that has
    /// sent to the external port unasked.
    Pystun3,
}

/// All of them.
pub const ALL: [Judge; 3] = [Judge::Coturn, Judge::Stund, Judge::Pystun3];

/// A client at work; it takes up to 17 seconds, most of them waiting for what a NAT won't let in.
pub struct Running {
    judge: Judge,
    child: Child,
}

impl Judge {
    /// Starts it from a local endpoint. It may use the next port too.
    pub fn start(self, netns: &Netns, local: SocketAddrV4, server: Ipv4Addr) -> Result<Running> {
        let (address, port) = (local.ip().to_string(), local.port().to_string());
        let server = server.to_string();
        let mut command = match self {
            Self::Coturn => {
                let mut command = netns.command(program::find("turnutils_natdiscovery")?);
                command.args(["-m", "-f", "-L", &address, "-l", &port, &server]);
                command
            }
            Self::Stund => {
                let mut command = netns.command(program::find("stun")?);
                command.args([&server, "-i", &address, "-p", &port]);
                command
            }
            Self::Pystun3 => pystun3(netns, &["-H", &server, "-i", &address, "-p", &port])?,
        };
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        Ok(Running { judge: self, child })
    }

    /// What it says of such a NAT, as far as it can tell.
    #[must_use]
    pub fn would_say(self, mapping: Mapping, filtering: Filtering) -> String {
        match self {
            Self::Coturn => {
                let mapping = match mapping {
                    Mapping::EndpointIndependent => "Endpoint Independent",
                    Mapping::AddressAndPortDependent => "Address and Port Dependent",
                };
                let filtering = match filtering {
                    Filtering::EndpointIndependent => "Endpoint Independent",
                    Filtering::AddressDependent => "Address Dependent",
                    Filtering::AddressAndPortDependent => "Address and Port Dependent",
                };
                format!("{mapping} Mapping, {filtering} Filtering")
            }
            Self::Stund => match (mapping, filtering) {
                (Mapping::AddressAndPortDependent, _) => "Dependent Mapping".into(),
                (_, Filtering::EndpointIndependent) => {
                    "Independent Mapping, Independent Filter".into()
                }
                (_, Filtering::AddressDependent) => {
                    "Independent Mapping, Address Dependent Filter".into()
                }
                (_, Filtering::AddressAndPortDependent) => {
                    "Independent Mapping, Port Dependent Filter".into()
                }
            },
            // It asks about the filter first; the spelling is its own.
            Self::Pystun3 => match (mapping, filtering) {
                (_, Filtering::EndpointIndependent) => "Full Cone".into(),
                (Mapping::AddressAndPortDependent, _) => "Symmetric NAT".into(),
                (_, Filtering::AddressDependent) => "Restric NAT".into(),
                (_, Filtering::AddressAndPortDependent) => "Restric Port NAT".into(),
            },
        }
    }

    fn verdict(self, output: &str) -> Option<String> {
        let after = |prefix| {
            output
                .lines()
                .find_map(move |line| line.strip_prefix(prefix))
        };
        match self {
            Self::Coturn => {
                let told = output
                    .lines()
                    .filter_map(|line| line.strip_prefix("NAT with ")?.strip_suffix('!'));
                Some(told.collect::<Vec<_>>().join(", "))
            }
            Self::Stund => {
                let told = after("Primary: ")?
                    .split(", ")
                    .filter(|word| word.ends_with("Mapping") || word.ends_with("Filter"));
                Some(told.collect::<Vec<_>>().join(", "))
            }
            Self::Pystun3 => after("NAT Type: ").map(str::to_owned),
        }
    }
}

impl Running {
    /// Waits for its end and returns what it found.
    pub fn finish(self) -> Result<String> {
        let output = self.child.wait_with_output().context("waiting")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let verdict = self.judge.verdict(&text).filter(|text| !text.is_empty());
        verdict.with_context(|| {
            format!(
                "{:?} ended with {} and no verdict:\n{text}{}",
                self.judge,
                output.status,
                String::from_utf8_lossy(&output.stderr)
            )
        })
    }

    /// As [`Running::finish`]; fails if it finds something else than expected.
    pub fn finds(self, mapping: Mapping, filtering: Filtering) -> Result<()> {
        let judge = self.judge;
        let (found, expected) = (self.finish()?, judge.would_say(mapping, filtering));
        ensure!(
            found == expected,
            "{judge:?} says {found:?} instead of {expected:?}"
        );
        Ok(())
    }
}

fn pystun3(netns: &Netns, arguments: &[&str]) -> Result<Command> {
    let mut command = netns.command(program::find("python3")?);
    command
        .env("PYTHONPATH", program::pystun3()?)
        .args(["-m", "stun.cli"])
        .args(arguments);
    Ok(command)
}
