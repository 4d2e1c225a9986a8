//! The configuration file: read as a whole, every problem found, nothing in it ignored.
//!
//! `parse` walks the TOML tree instead of deserializing it, because the first wrong value must not
//! hide the second: `section` is the walk, `values` and `ports` check single values, `rules`
//! says what entries must agree on, `report` gathers what is wrong; the others know the keys.

mod answers;
mod forwards;
mod later;
mod limits;
mod model;
mod ports;
mod report;
mod routing;
mod rules;
mod section;
mod sections;
mod timeouts;
mod values;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use toml::de::DeTable;

pub use self::{model::*, report::Problem, routing::*, values::check_name};
use self::{report::Report, section::Section};

const SECTIONS: [&str; 10] = [
    "gateway",
    "snat",
    "bypass",
    "forward",
    "timeouts",
    "limits",
    "answers",
    "protocols",
    "metrics",
    "eni",
];

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

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with everything that is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, path)
    }

    /// As [`Self::load`]; `name`, if given on the command line, must be the file's instance.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with everything that is wrong.
    pub fn load_for(path: &Path, name: Option<&str>) -> Result<Self, ConfigError> {
        let config = Self::load(path)?;
        match name {
            Some(asked) if asked != config.gateway.name => Err(ConfigError::OtherInstance {
                path: path.to_owned(),
                asked: asked.to_owned(),
                configured: config.gateway.name,
            }),
            _ => Ok(config),
        }
    }

    /// Checks the text of a file; `path` is for messages only.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] with everything that is wrong.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let mut report = Report::new(path, text);
        let (document, errors) = DeTable::parse_recoverable(text);
        // A tree that was patched up after a syntax error would bring complaints of its own.
        if !errors.is_empty() {
            for error in errors {
                let line = report.line(error.span().map_or(0, |span| span.start));
                report.wrong(line, "", format!("invalid TOML: {}", error.message()));
            }
            return Err(ConfigError::Invalid(
                report.finish().err().unwrap_or_default(),
            ));
        }

        let root = Section::root(document.get_ref(), &SECTIONS, &mut report);
        let gateway = sections::gateway(&root, &mut report);
        let entries = sections::snat(&root, &mut report);
        let bypass = sections::bypass(&root, &mut report);
        let forward = forwards::forwards(&root, &entries, &mut report);
        let timeouts = timeouts::timeouts(&root, &mut report);
        let limits = limits::limits(&root, gateway.as_ref(), &mut report);
        let answers = answers::answers(&root, &mut report);
        let protocols = answers::protocols(&root, &mut report);
        if let Some(gateway) = &gateway {
            rules::gateway(gateway, &mut report);
        }
        rules::snat(&entries, &mut report);
        rules::bypass(&bypass, &mut report);
        later::refuse(&root, &mut report);

        let path = path.to_owned();
        let warnings = report.finish().map_err(ConfigError::Invalid)?;
        let snat = entries.into_iter().map(|entry| entry.snat).collect();
        let gateway = gateway.expect("a missing [gateway] is a problem, so `finish` fails");
        Ok(Self {
            path,
            gateway,
            snat,
            bypass,
            forward,
            timeouts,
            limits,
            answers,
            protocols,
            warnings,
        })
    }
}
