//! All rules and routes of a namespace as text, to compare byte for byte.

use std::fmt::Write as _;

use anyhow::{Result, ensure};

use crate::netns::Netns;

/// By number: names of tables and protocols are in files that all namespaces share.
const COMMANDS: [&str; 4] = [
    "ip -4 -N rule show",
    "ip -6 -N rule show",
    "ip -4 -N route show table all",
    "ip -6 -N route show table all",
];

/// What `ip` shows, a section for each command.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot([String; COMMANDS.len()]);

impl Snapshot {
    /// That of now.
    pub fn take(netns: &Netns) -> Result<Self> {
        let mut sections = <[String; COMMANDS.len()]>::default();
        for (section, command) in sections.iter_mut().zip(COMMANDS) {
            *section = netns.run(command)?;
        }
        Ok(Self(sections))
    }

    /// Fails, with the lines that differ, unless this one is the same as the one before.
    pub fn expect_as(&self, before: &Self) -> Result<()> {
        ensure!(
            self == before,
            "rules or routes are not as they were:\n{}",
            self.difference(before)
        );
        Ok(())
    }

    /// As [`Snapshot::expect_as`], where rules of one priority and routes of one prefix may stand in another order.
    pub fn expect_lines_of(&self, before: &Self) -> Result<()> {
        ensure!(
            self.sorted() == before.sorted(),
            "there are other rules or routes:\n{}",
            self.difference(before)
        );
        Ok(())
    }

    /// Lines that have come (`+`) and gone (`-`); if there are none, only the order is another.
    #[must_use]
    pub fn difference(&self, before: &Self) -> String {
        let mut text = String::new();
        for ((now, before), command) in self.0.iter().zip(&before.0).zip(COMMANDS) {
            if now == before {
                continue;
            }
            let _ = writeln!(text, "{command}");
            for (sign, of, other) in [('-', before, now), ('+', now, before)] {
                for line in of.lines().filter(|line| !other.lines().any(|o| o == *line)) {
                    let _ = writeln!(text, "{sign} {line}");
                }
            }
        }
        text
    }

    fn sorted(&self) -> [Vec<&str>; COMMANDS.len()] {
        self.0.each_ref().map(|section| {
            let mut lines: Vec<_> = section.lines().collect();
            lines.sort_unstable();
            lines
        })
    }

    /// The lines of all sections.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|section| section.lines())
    }
}
