//! Puts right what is safe to put right: kernel settings without which the gateway cannot work, each taken back by
//! one command. Addresses, firewalls and other programs' files are never touched.

mod kept;

use std::{fmt, fs, io, path::Path};

use serde::Serialize;

pub use self::kept::keep;
use crate::config::Config;

/// A setting to be changed; its JSON form is part of the contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Path below `/proc/sys`: an interface's name may have dots of its own.
    pub setting: String,
    /// What it is.
    pub from: u32,
    /// What it shall be.
    pub to: u32,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, from, to } = self;
        write!(f, "{setting}: {from} -> {to}")
    }
}

/// Why not all could be changed.
#[derive(Debug, thiserror::Error)]
#[error("cannot change {change}: {source}{advice}; {}", so_far(done))]
pub struct FixError {
    change: Change,
    source: io::Error,
    advice: &'static str,
    done: Vec<Change>,
}

/// What there is to change for this configuration; nothing if all is as it should be.
#[must_use]
pub fn plan(config: &Config) -> Vec<Change> {
    wanted(&config.gateway.interfaces, |setting| {
        let text = fs::read_to_string(Path::new("/proc/sys").join(setting)).ok()?;
        text.trim().parse().ok()
    })
}

/// Makes the changes, in their order.
///
/// # Errors
///
/// The first that the kernel refused, and what was changed before it.
pub fn apply(changes: &[Change]) -> Result<(), FixError> {
    for (index, change) in changes.iter().enumerate() {
        let path = Path::new("/proc/sys").join(&change.setting);
        fs::write(path, change.to.to_string()).map_err(|source| FixError {
            change: change.clone(),
            advice: match source.kind() {
                io::ErrorKind::PermissionDenied => ", run as root: sudo snat-ctl ...",
                io::ErrorKind::ReadOnlyFilesystem => {
                    ", /proc/sys is read-only here: set it on the machine, outside of the container"
                }
                _ => "",
            },
            source,
            done: changes[..index].to_vec(),
        })?;
    }
    Ok(())
}

/// Forwarding first: changing it resets others (`inet_forward_change`).
fn wanted(interfaces: &[String], read: impl Fn(&str) -> Option<u32>) -> Vec<Change> {
    let forward = "net/ipv4/ip_forward".to_owned();
    let mut settings = Vec::new();
    if read(&forward) == Some(0) {
        // This turns it on for every interface.
        settings.push((forward, 1));
    } else {
        let of = |name| format!("net/ipv4/conf/{name}/forwarding");
        settings.extend(interfaces.iter().map(|name| (of(name), 1)));
    }
    if let [only] = interfaces {
        let of = |name| format!("net/ipv4/conf/{name}/send_redirects");
        settings.extend(["all", only].map(|name| (of(name), 0)));
    }
    let change = |(setting, to): (String, u32)| {
        let from = read(&setting)?;
        (from != to).then_some(Change { setting, from, to })
    };
    settings.into_iter().filter_map(change).collect()
}

fn so_far(done: &[Change]) -> String {
    if done.is_empty() {
        return "nothing was changed".to_owned();
    }
    let done: Vec<_> = done.iter().map(ToString::to_string).collect();
    format!("changed before that: {}", done.join(", "))
}

#[cfg(test)]
mod tests {
    use super::wanted;

    /// The changes on a host with these settings, and 0 for all others.
    fn changes(interfaces: &[&str], host: &[(&str, u32)]) -> Vec<String> {
        let interfaces: Vec<_> = interfaces.iter().map(ToString::to_string).collect();
        let read = |setting: &str| {
            let known = host.iter().find(|(name, _)| *name == setting);
            Some(known.map_or(0, |(_, value)| *value))
        };
        let changes = wanted(&interfaces, read);
        changes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_router_needs_nothing() {
        let router = [
            ("net/ipv4/ip_forward", 1),
            ("net/ipv4/conf/eth0/forwarding", 1),
        ];
        assert_eq!(changes(&["eth0"], &router), [""; 0]);
    }

    #[test]
    fn one_arm_sends_no_redirects_and_several_may() {
        let host = [
            ("net/ipv4/conf/all/send_redirects", 1),
            ("net/ipv4/conf/eth0/send_redirects", 1),
        ];
        let expected = [
            "net/ipv4/ip_forward: 0 -> 1",
            "net/ipv4/conf/all/send_redirects: 1 -> 0",
            "net/ipv4/conf/eth0/send_redirects: 1 -> 0",
        ];
        assert_eq!(changes(&["eth0"], &host), expected);
        assert_eq!(changes(&["eth0", "eth1"], &host), expected[..1]);
    }

    #[test]
    fn an_interface_that_does_not_forward_is_told_to() {
        let host = [
            ("net/ipv4/ip_forward", 1),
            ("net/ipv4/conf/eth0/forwarding", 1),
        ];
        let expected = ["net/ipv4/conf/eth1.7/forwarding: 0 -> 1"];
        assert_eq!(changes(&["eth0", "eth1.7"], &host), expected);
    }
}
