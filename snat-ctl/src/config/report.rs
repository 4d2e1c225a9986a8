//! Everything that is wrong with a file, each at its line and key.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// One thing that is wrong: `file:line: key: what; accepted: ...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// Its line, from 1.
    pub line: usize,
    /// The key, as in `snat[1].source[2]` (counted from 1); empty where the file is no TOML.
    pub key: String,
    /// What is wrong with it, and what is accepted.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            line,
            key,
            what,
        } = self;
        write!(f, "{}:{line}: ", path.display())?;
        if !key.is_empty() {
            write!(f, "{key}: ")?;
        }
        f.write_str(what)
    }
}

/// Collects problems and warnings while a file is read.
pub(super) struct Report<'i> {
    path: &'i Path,
    /// Where the file's lines end.
    newlines: Vec<usize>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl<'i> Report<'i> {
    pub(super) fn new(path: &'i Path, text: &str) -> Self {
        Self {
            path,
            newlines: text.match_indices('\n').map(|(at, _)| at).collect(),
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Line of a byte offset, from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.newlines.partition_point(|newline| *newline < offset) + 1
    }

    pub(super) fn wrong(&mut self, line: usize, key: &str, what: impl Into<String>) {
        let problem = self.problem(line, key, what);
        self.problems.push(problem);
    }

    pub(super) fn warn(&mut self, line: usize, key: &str, what: impl Into<String>) {
        let warning = self.problem(line, key, what);
        self.warnings.push(warning);
    }

    /// How many problems there are so far.
    pub(super) fn count(&self) -> usize {
        self.problems.len()
    }

    /// The warnings, or else the problems, each in the file's order.
    pub(super) fn finish(mut self) -> Result<Vec<String>, Vec<Problem>> {
        self.problems.sort_by_key(|problem| problem.line);
        self.warnings.sort_by_key(|warning| warning.line);
        if self.problems.is_empty() {
            Ok(self.warnings.iter().map(ToString::to_string).collect())
        } else {
            Err(self.problems)
        }
    }

    fn problem(&self, line: usize, key: &str, what: impl Into<String>) -> Problem {
        Problem {
            path: self.path.to_owned(),
            line,
            key: key.to_owned(),
            what: what.into(),
        }
    }
}
