//! Whether this host can be the gateway that the configuration asks for. Changes nothing.
//!
//! One file per thing that is looked at; each turns what it reads into [`Finding`]s.

mod addresses;
mod cloud;
mod driver;
mod enis;
mod ethtool;
mod features;
mod finding;
pub mod fix;
mod foreign;
mod forwards;
mod host;
mod interfaces;
mod managers;
mod mtu;
pub(crate) mod netfilter;
mod networks;
mod offloads;
pub mod ports;
mod programs;
mod sockets;
mod sysctls;

pub use self::finding::{Finding, Severity};
pub(crate) use self::netfilter::owners;
use crate::{
    config::{Config, File},
    netlink::{self, Address, Link, NetlinkError},
};

/// Everything there is to say of a file: of its gateway, of its policy routes.
#[must_use]
pub fn all(file: &File) -> Vec<Finding> {
    let mut findings = file.gateway.as_ref().map(preflight).unwrap_or_default();
    findings.extend(enis::findings(file));
    findings
}

/// Everything there is to say before the datapath is loaded, in the order of a person's reading.
#[must_use]
pub fn preflight(config: &Config) -> Vec<Finding> {
    let mut findings = host::findings();
    findings.extend(cloud::findings());
    // Without privileges every probe would fail, and say nothing about the kernel.
    let privileged =
        |finding: &Finding| finding.id != host::PRIVILEGES || finding.severity < Severity::Fatal;
    if findings.iter().all(privileged) {
        findings.extend(features::findings(config.gateway.datapath));
    }
    match Network::read() {
        Ok(network) => {
            findings.extend(interfaces::findings(config, &network));
            findings.extend(networks::findings(config, &network));
            findings.extend(mtu::findings(config, &network));
            findings.extend(addresses::findings(config, &network));
            findings.extend(forwards::findings(config, &network));
            findings.extend(managers::findings(config, &network));
        }
        Err(error) => findings.push(Finding::fatal(
            "netlink",
            error.to_string(),
            "interfaces and addresses cannot be known without it",
            "run on a Linux kernel with rtnetlink, outside of sandboxes that forbid it",
        )),
    }
    findings.extend(sysctls::findings(config));
    findings.extend(ports::findings(config));
    findings.extend(offloads::findings(config));
    findings.extend(netfilter::findings(config));
    findings
}

/// Fails with the text of every fatal finding, if there is one.
///
/// # Errors
///
/// The fatal findings, each with its reason and remedy.
pub fn refuse_fatal(findings: &[Finding]) -> anyhow::Result<()> {
    let fatal: Vec<_> = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Fatal)
        .map(ToString::to_string)
        .collect();
    if fatal.is_empty() {
        return Ok(());
    }
    anyhow::bail!(
        "this host is not ready, and nothing was changed:\n  {}",
        fatal.join("\n  ")
    )
}

/// The kernel's view of the network, read once.
struct Network {
    links: Vec<Link>,
    addresses: Vec<Address>,
    default_route: Option<u32>,
}

impl Network {
    fn read() -> Result<Self, NetlinkError> {
        Ok(Self {
            links: netlink::links()?,
            addresses: netlink::addresses()?,
            default_route: netlink::default_route_link()?,
        })
    }

    fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }
}
