//! The kernel's connection tracking, made large enough for the flows that are measured.
//!
//! Its limits are the whole machine's, and can be set in the machine's own network namespace alone.

use std::{fs, process::Command};

use anyhow::{Context as _, Result, ensure};

/// Four times the flows of the largest measurement, so that neither the limit nor long chains slow it.
const ENTRIES: u32 = 4_000_000;

/// Most entries, in all namespaces.
const MAX: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
/// Chains of the hash table.
const BUCKETS: &str = "/sys/module/nf_conntrack/parameters/hashsize";

/// Larger for as long as it lives.
pub(crate) struct Enlarged {
    entries: u32,
    /// Files and what was in them; the last changed is put back first.
    before: Vec<(&'static str, u32)>,
}

impl Enlarged {
    /// As large as it can be made; says on standard error what it did, or why it could not.
    pub(crate) fn make() -> Self {
        let mut enlarged = Self {
            entries: 0,
            before: Vec::new(),
        };
        if let Err(error) = enlarged.grow() {
            eprintln!(
                "connection tracking stays as it is, and what needs more of it is not measured: {error:#}"
            );
        }
        enlarged.entries = read(MAX).unwrap_or(0);
        enlarged
    }

    /// How many entries there may be.
    pub(crate) fn entries(&self) -> u32 {
        self.entries
    }

    fn grow(&mut self) -> Result<()> {
        if read(MAX).is_err() {
            // The kernel's NAT would load it, in the sandbox, where it cannot be set any more.
            let modprobe = Command::new("modprobe").arg("nf_conntrack").status();
            ensure!(
                modprobe.is_ok_and(|status| status.success()),
                "it is not loaded, and `modprobe nf_conntrack` failed"
            );
        }
        for path in [BUCKETS, MAX] {
            let before = read(path)?;
            if before >= ENTRIES {
                continue;
            }
            write(path, ENTRIES)?;
            self.before.push((path, before));
            eprintln!(
                "{path}: {before}, until the end {}",
                read(path).unwrap_or(ENTRIES)
            );
        }
        Ok(())
    }
}

impl Drop for Enlarged {
    fn drop(&mut self) {
        for (path, before) in self.before.iter().rev() {
            match write(path, *before) {
                Ok(()) => eprintln!("{path}: {before} again"),
                Err(error) => eprintln!("{path} was {before} and is not any more: {error:#}"),
            }
        }
    }
}

fn read(path: &str) -> Result<u32> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    text.trim()
        .parse()
        .with_context(|| format!("{path} has no number in it: {text:?}"))
}

fn write(path: &str, value: u32) -> Result<()> {
    fs::write(path, value.to_string()).with_context(|| format!("writing {value} to {path}"))
}
