//! The error of a machine that cannot build the datapath yet.

use std::fmt;

/// One thing that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// What it is and what it is for.
    pub what: String,
    /// The command that gets it.
    pub get: String,
}

/// No complete eBPF toolchain was found; either list, carried out, completes one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Missing {
    /// What the distribution's compiler lacks.
    pub distribution: Vec<Want>,
    /// What rustup's nightly lacks.
    pub nightly: Vec<Want>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "no toolchain for eBPF (target bpfel-unknown-none) was found"
        )?;
        list(
            f,
            "With the distribution's compiler (Debian, Ubuntu), missing:",
            &self.distribution,
        )?;
        list(f, "Or with rustup's nightly, missing:", &self.nightly)
    }
}

fn list(f: &mut fmt::Formatter<'_>, title: &str, wants: &[Want]) -> fmt::Result {
    writeln!(f, "\n{title}")?;
    wants
        .iter()
        .try_for_each(|want| writeln!(f, "  - {}\n      {}", want.what, want.get))
}

#[cfg(test)]
mod tests {
    use super::{Missing, Want};

    #[test]
    fn every_missing_thing_is_shown_with_its_command() {
        let want = |what: &str, get: &str| Want {
            what: what.into(),
            get: get.into(),
        };
        let missing = Missing {
            distribution: vec![want("compiler", "get-a"), want("linker", "get-b")],
            nightly: vec![want("sources", "get-c")],
        };
        let text = missing.to_string();
        for part in ["compiler", "get-a", "linker", "get-b", "sources", "get-c"] {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
    }
}
