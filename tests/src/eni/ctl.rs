//! `snat-ctl eni` in a namespace, with a configuration of the caller's own.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::{
    gateway::{Gateway, program},
    netns::{self, Netns},
    topology::enis::Eni,
};

/// The program, an instance's name, and its configuration's file.
pub struct EniCtl {
    program: PathBuf,
    netns: String,
    name: String,
    config: NamedTempFile,
}

/// How a verb ended.
#[derive(Debug)]
pub struct Ended {
    /// What was called.
    pub verb: String,
    /// Exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error, the configuration's path written as `snat.toml`.
    pub stderr: String,
}

impl EniCtl {
    /// For this namespace. `name` is the instance and must be unique among all that run.
    pub fn new(netns: &Netns, name: &str, config: &str) -> Result<Self> {
        let ctl = Self {
            program: program()?,
            netns: netns.name().to_owned(),
            name: name.to_owned(),
            config: NamedTempFile::with_suffix(".toml")?,
        };
        ctl.configure(config)?;
        Ok(ctl)
    }

    /// Writes the configuration anew.
    pub fn configure(&self, config: &str) -> Result<()> {
        fs::write(self.config.path(), config).context("writing the configuration")
    }

    /// The configuration's file.
    #[must_use]
    pub fn config(&self) -> &Path {
        self.config.path()
    }

    /// The command of a verb with its options, such as `apply --confirm 2s`.
    #[must_use]
    pub fn command(&self, verb: &str) -> Command {
        let mut command = netns::command(&self.netns, &self.program);
        command
            .args(["--name", &self.name, "eni"])
            .args(verb.split_whitespace())
            .arg("--config")
            .arg(self.config())
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end, whatever that is.
    pub fn run(&self, verb: &str) -> Result<Ended> {
        self.end(&mut self.command(verb), verb)
    }

    /// Runs a command that is called in another way than [`EniCtl::command`] does, to its end.
    pub fn end(&self, command: &mut Command, verb: &str) -> Result<Ended> {
        let output = command
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("starting {command:?}"))?;
        let config = self.config().display().to_string();
        Ok(Ended {
            verb: verb.to_owned(),
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?.replace(&config, "snat.toml"),
        })
    }

    /// Runs what must succeed; returns its standard output.
    pub fn done(&self, verb: &str) -> Result<String> {
        Ok(self.run(verb)?.expect(0)?.stdout)
    }

    /// Runs it with `--json`, to whatever end, and parses what it prints.
    pub fn json(&self, verb: &str) -> Result<Value> {
        let ended = self.run(&format!("{verb} --json"))?;
        serde_json::from_str(&ended.stdout).with_context(|| format!("no JSON: {ended}"))
    }

    /// Starts `snat-ctl run` with a copy of the configuration.
    pub fn daemon(&self) -> Result<Gateway> {
        let config = fs::read_to_string(self.config())?;
        let name = ["--name", self.name.as_str()];
        Gateway::start_in(&self.netns, &self.name, &config, &name)
    }
}

/// The `[[eni]]` of an interface, found by its name, all else given; `more` are further lines of it.
#[must_use]
pub fn section(eni: &Eni, more: &str) -> String {
    let Eni {
        dev,
        table,
        gateway,
        gateway6,
        ..
    } = eni;
    format!(
        "[[eni]]
match    = {{ name = \"{dev}\" }}
table    = {table}
gateway  = \"{gateway}\"
gateway6 = \"{gateway6}\"
{more}
"
    )
}

impl Ended {
    /// Fails unless it ended with this code.
    pub fn expect(self, code: i32) -> Result<Self> {
        ensure!(self.code == Some(code), "not with {code}: {self}");
        Ok(self)
    }

    /// Fails unless standard error has all of these.
    pub fn says(self, all: &[&str]) -> Result<Self> {
        for text in all {
            ensure!(self.stderr.contains(text), "without {text:?}: {self}");
        }
        Ok(self)
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            verb,
            code,
            stdout,
            stderr,
        } = self;
        write!(f, "`snat-ctl eni {verb}` ended with ")?;
        match code {
            Some(code) => write!(f, "{code}")?,
            None => f.write_str("a signal")?,
        }
        write!(f, ":\n{stdout}{stderr}")
    }
}
