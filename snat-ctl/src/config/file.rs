//! A whole file: what a gateway does, which interfaces traffic leaves by, or both.

use std::{
    fs,
    path::{Path, PathBuf},
};

use toml::de::DeTable;

use super::{
    Config, ConfigError, Routing, answers, forwards, limits, log, metrics, report::Report, routing,
    rules, section::Section, sections, timeouts,
};

/// Sections that only a gateway has.
const GATEWAY: [&str; 10] = [
    "gateway",
    "snat",
    "bypass",
    "forward",
    "timeouts",
    "limits",
    "answers",
    "protocols",
    "metrics",
    "log",
];
const OTHERS: [&str; 3] = ["routing", "eni", "rule"];
const DEFAULT_NAME: &str = "default";

/// A valid file: at least one of `gateway` and `routing` is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it was read.
    pub path: PathBuf,
    /// What is in it.
    pub text: String,
    /// The instance: `gateway.name`; without a gateway `--name`, else `default`.
    pub name: String,
    /// Translation; its `warnings` are empty, the file's are below.
    pub gateway: Option<Config>,
    /// Policy routes.
    pub routing: Option<Routing>,
    /// What is accepted but deserves a word, each with file, line and key.
    pub warnings: Vec<String>,
}

/// Whether a file without `[gateway]` will do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Not for who asks.
    Gateway,
    /// If it has policy routes.
    Any,
}

impl File {
    /// Reads and checks a file.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with everything that is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_for(path, None)
    }

    /// As [`Self::load`]; `name`, if given on the command line, must be the gateway's, and is the instance's where
    /// there is no gateway.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with everything that is wrong.
    pub fn load_for(path: &Path, name: Option<&str>) -> Result<Self, ConfigError> {
        Self::load_with(path, name, Need::Any)
    }

    /// Checks the text of a file; `path` is for messages only.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] with everything that is wrong.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        Self::parse_with(text, path, Need::Any)
    }

    pub(super) fn load_with(
        path: &Path,
        name: Option<&str>,
        need: Need,
    ) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let file = Self::parse_with(&text, path, need)?;
        let Some(asked) = name.filter(|asked| *asked != file.name) else {
            return Ok(file);
        };
        if file.gateway.is_some() {
            return Err(ConfigError::OtherInstance {
                path: path.to_owned(),
                asked: asked.to_owned(),
                configured: file.name,
            });
        }
        let name = asked.to_owned();
        Ok(Self { name, ..file })
    }

    pub(super) fn parse_with(text: &str, path: &Path, need: Need) -> Result<Self, ConfigError> {
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

        let root = Section::root(
            document.get_ref(),
            &[&GATEWAY[..], &OTHERS].concat(),
            &mut report,
        );
        let routing = routing::routing(&root, &mut report);
        let has_gateway = GATEWAY.iter().any(|section| root.has(section));
        let gateway = (need == Need::Gateway || has_gateway || routing.is_none())
            .then(|| gateway(&root, path, &mut report));
        let warnings = report.finish().map_err(ConfigError::Invalid)?;
        let gateway = gateway
            .map(|config| config.expect("a missing [gateway] is a problem, so `finish` fails"));
        let name = gateway
            .as_ref()
            .map_or(DEFAULT_NAME, |config| &config.gateway.name);
        Ok(Self {
            path: path.to_owned(),
            text: text.to_owned(),
            name: name.to_owned(),
            gateway,
            routing,
            warnings,
        })
    }
}

/// The sections of a gateway; `None` only if `[gateway]` cannot be read, which is reported.
fn gateway(root: &Section<'_>, path: &Path, report: &mut Report<'_>) -> Option<Config> {
    let gateway = sections::gateway(root, report);
    let entries = sections::snat(root, report);
    let bypass = sections::bypass(root, report);
    let forward = forwards::forwards(root, &entries, report);
    let timeouts = timeouts::timeouts(root, report);
    let limits = limits::limits(root, gateway.as_ref(), report);
    let answers = answers::answers(root, report);
    let protocols = answers::protocols(root, report);
    let metrics = metrics::metrics(root, report);
    let log = log::log(root, report);
    if let Some(gateway) = &gateway {
        rules::gateway(gateway, report);
    }
    rules::snat(&entries, report);
    rules::bypass(&bypass, report);
    Some(Config {
        path: path.to_owned(),
        gateway: gateway?,
        snat: entries.into_iter().map(|entry| entry.snat).collect(),
        bypass,
        forward,
        timeouts,
        limits,
        answers,
        protocols,
        metrics,
        log,
        warnings: Vec::new(),
    })
}
