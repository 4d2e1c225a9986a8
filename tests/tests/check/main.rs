//! `snat-ctl check`: each finding when there is something to find, and not when there is nothing.

mod fix;
mod interfaces;
mod managers;
mod nat;

use std::{
    io::Write as _,
    process::{Command, Output},
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::Value;
use snat_tests::{gateway::program, netns::Netns};
use tempfile::NamedTempFile;

const SOON: Duration = Duration::from_secs(5);

/// A `[gateway]` on these interfaces, and an entry.
fn config(interfaces: &str, datapath: &str) -> Result<NamedTempFile> {
    let mut file = NamedTempFile::with_suffix(".toml")?;
    write!(
        file,
        "[gateway]\nname = \"checked\"\ninterfaces = {interfaces}\ndatapath = \"{datapath}\"\n\
         [[snat]]\nsource = [\"172.16.0.0/16\"]\nexternal = [\"auto\"]\n"
    )?;
    Ok(file)
}

/// Runs `check` in the namespace, behind the words of `wrapper`.
fn check(
    netns: &Netns,
    config: &NamedTempFile,
    options: &[&str],
    wrapper: &[&str],
) -> Result<Output> {
    let mut check: Command = netns.command("timeout");
    check.arg("20").args(wrapper).arg(program()?);
    check.arg("check").arg("--config").arg(config.path());
    let ended = check.args(options).output();
    ended.with_context(|| format!("starting {check:?}"))
}

/// What `check --json` has of these findings.
fn findings(
    netns: &Netns,
    config: &NamedTempFile,
    id: &str,
    wrapper: &[&str],
) -> Result<Vec<Value>> {
    let ended = check(netns, config, &["--json"], wrapper)?;
    let report: Value =
        serde_json::from_slice(&ended.stdout).with_context(|| format!("{ended:?}"))?;
    let all = report["findings"].as_array().context("no findings")?;
    let found = all.iter().filter(|finding| finding["id"] == id);
    Ok(found.cloned().collect())
}

/// As the first process of its machine: with a `/proc` of its own, whose first process is in this network namespace.
/// `line` is shell that is run before, in a mount namespace of its own.
fn as_machine(line: &str) -> Vec<String> {
    let line = format!("{line} && exec \"$@\"");
    let own = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    [&own[..], &["sh", "-c", &line, "sh"]]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect()
}
