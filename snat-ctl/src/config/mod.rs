//! The configuration file: read as a whole, every problem found, nothing in it ignored.
//!
//! `parse` walks the TOML tree instead of deserializing it, because the first wrong value must not
//! hide the second: `section` is the walk, `values` and `ports` check single values, `rules`
//! says what entries must agree on, `report` gathers what is wrong, `file` puts it together; the others
//! know the keys. `write` lays a file out for those who make one.

mod answers;
mod difference;
mod file;
mod forwards;
mod limits;
mod log;
mod metrics;
mod model;
mod ports;
mod report;
mod routing;
mod rules;
mod section;
mod sections;
mod timeouts;
mod values;
pub(crate) mod write;

use std::{
    io,
    path::{Path, PathBuf},
};

use self::file::Need;
pub use self::{
    difference::{Change, Verb, difference},
    file::File,
    model::*,
    report::Problem,
    routing::{AccessRule, Eni, Match, NextHop, Routing, RuleVerdict, mac_text},
    values::check_name,
};

/// Why a configuration was refused; the process ends with exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error(
        "cannot read the configuration {}: {source}; name another file with --config", .path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The file is wrong; every problem in the file's order, at least one.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<Problem>),
    /// The file is a gateway's alone, and policy routes are asked for.
    #[error("{} has no [[eni]]; add one, such as match = {{ name = \"eth1\" }}", .path.display())]
    NoEni {
        /// The file.
        path: PathBuf,
    },
    /// `--name` asks for another instance than the file is for.
    #[error(
        "--name {asked}: {} is for instance {configured:?}; leave --name out or name another file \
         with --config", .path.display()
    )]
    OtherInstance {
        /// The file.
        path: PathBuf,
        /// Value of `--name`.
        asked: String,
        /// Value of `gateway.name`.
        configured: String,
    },
}

/// A gateway's side of a file, with the warnings of the whole.
impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with everything that is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_for(path, None)
    }

    /// As [`Self::load`]; `name`, if given on the command line, must be the file's instance.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with everything that is wrong.
    pub fn load_for(path: &Path, name: Option<&str>) -> Result<Self, ConfigError> {
        File::load_with(path, name, Need::Gateway).map(Self::of)
    }

    /// Checks the text of a file; `path` is for messages only.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] with everything that is wrong.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        File::parse_with(text, path, Need::Gateway).map(Self::of)
    }

    fn of(file: File) -> Self {
        let gateway = file
            .gateway
            .expect("`Need::Gateway` refuses a file without");
        Self {
            warnings: file.warnings,
            ..gateway
        }
    }
}
