//! `snat-ctl status`: what is wrong is named with its remedy, and no longer when it is mended.

mod daemon;
mod hooks;
mod interfaces;
mod room;
mod screen;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use snat_tests::{gateway::Gateway, scene::Scene, wait};

const SOON: Duration = Duration::from_secs(15);

/// The problems as `id subject` (`id` where there is none), with one look at the counters only.
fn ids(gateway: &Gateway) -> Result<Vec<String>> {
    let status = gateway.ctl_json(&["status", "--interval", "0"])?;
    problems(&status)?.iter().map(id).collect()
}

fn problems(status: &Value) -> Result<&Vec<Value>> {
    status["problems"].as_array().context("no problems")
}

fn id(problem: &Value) -> Result<String> {
    let remedy = problem["remedy"].as_str().context("no remedy")?;
    ensure!(!remedy.is_empty(), "{problem}");
    let id = problem["id"].as_str().context("no id")?;
    let subject = problem["subject"].as_str();
    Ok(subject.map_or_else(|| id.to_owned(), |subject| format!("{id} {subject}")))
}

/// Waits until exactly these are told.
fn expect(gateway: &Gateway, wanted: &[&str]) -> Result<()> {
    wait::until(SOON, &format!("status tells of {wanted:?}"), || {
        let ids = ids(gateway)?;
        ensure!(ids == wanted, "{ids:?}");
        Ok(())
    })
}

/// Whether `status --check` says by its exit code that something is wrong.
fn is_degraded(scene: &Scene) -> Result<bool> {
    let ended = scene
        .gateway
        .ctl_output(&["status", "--check", "--interval", "0"])?;
    match ended.status.code() {
        Some(0) => Ok(false),
        Some(3) => Ok(true),
        _ => anyhow::bail!("{ended:?}"),
    }
}
