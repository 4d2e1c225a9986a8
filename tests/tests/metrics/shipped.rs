//! The dashboard and the alerts in `dist/`: well formed, about metrics that there are, and right.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use snat_tests::{
    gateway,
    netns::output,
    program,
    prometheus::{Prometheus, promtool},
    topology::Shape,
    wait,
};

use crate::ground::{LOOPBACK, SOON, served, start};

const ALERTS: &str = include_str!("../../../dist/alerts.yml");
const DASHBOARD: &str = include_str!("../../../dist/grafana-dashboard.json");
const RULE_TESTS: &str = include_str!("alerts.yml");
/// Prometheus makes it of its own scrapes.
const ITS_OWN: &str = "up";

#[test]
fn every_alert_fires_when_it_must_and_else_stays_quiet() -> Result<()> {
    promtool(&["check", "rules", &file("../dist/alerts.yml")], "")?;
    promtool(&["test", "rules", &file("tests/metrics/alerts.yml")], "")?;
    for alert in alerts() {
        for end in ["fires", "stays quiet"] {
            let tested = RULE_TESTS.contains(&format!("{alert} {end}\"\n"));
            ensure!(
                tested,
                "tests/tests/metrics/alerts.yml does not test that {alert} {end}"
            );
        }
    }
    Ok(())
}

#[test]
fn prometheus_takes_the_alerts_and_none_fires_of_a_gateway_that_is_well() -> Result<()> {
    let scene = start("tc", Shape::Routed)?;
    let rules = PathBuf::from(file("../dist/alerts.yml"));
    let prometheus = Prometheus::start(&scene.topology.gateway.netns, LOOPBACK, Some(&rules))?;
    wait::until(SOON, "every rule is evaluated", || {
        let groups = prometheus.api("rules")?;
        let rules = groups["groups"][0]["rules"]
            .as_array()
            .context("no rules")?;
        for rule in rules {
            ensure!(rule["health"] == "ok", "{rule:#}");
            ensure!(rule["state"] == "inactive", "{rule:#}");
            for annotation in ["summary", "description"] {
                let text = rule["annotations"][annotation].as_str().unwrap_or_default();
                ensure!(text.len() > 20, "{annotation} of {rule:#}");
            }
            let severity = &rule["labels"]["severity"];
            ensure!(severity == "critical" || severity == "warning", "{rule:#}");
        }
        ensure!(rules.len() == alerts().len(), "{} rules", rules.len());
        Ok(())
    })
}

#[test]
fn the_dashboard_is_one_by_grafanas_own_types() -> Result<()> {
    let mut check = Command::new(program::find("python3")?);
    check.env("PYTHONPATH", program::grafana()?).args([
        file("tools/dashboard.py"),
        file("../dist/grafana-dashboard.json"),
    ]);
    output(&mut check).map(drop)
}

#[test]
fn what_the_dashboard_and_the_alerts_ask_for_exists() -> Result<()> {
    let scene = start("tc", Shape::Routed)?;
    let scrape = served(&scene)?;
    let mut there = scrape.names();
    there.insert(ITS_OWN);
    let dashboard: Value = serde_json::from_str(DASHBOARD)?;
    let queries = strings(&dashboard, "expr");
    ensure!(queries.len() >= 30, "{} queries", queries.len());
    let mut asked: BTreeSet<_> = expressions().flat_map(metrics).collect();
    asked.extend(queries.iter().flat_map(|query| metrics(query)));
    let missing: Vec<_> = asked.iter().filter(|name| !there.contains(*name)).collect();
    ensure!(
        missing.is_empty(),
        "{missing:?} are asked for, there are {there:?}"
    );

    let prometheus = Prometheus::start(&scene.topology.gateway.netns, LOOPBACK, None)?;
    for query in &queries {
        let query = query
            .replace("$__rate_interval", "10s")
            .replace("$instance", ".*");
        prometheus.query(&query).with_context(|| query.clone())?;
    }
    Ok(())
}

#[test]
fn the_commands_that_an_alert_names_are_there() -> Result<()> {
    let help = output(Command::new(gateway::program()?).arg("--help"))?;
    for named in ALERTS.split("`snat-ctl ").skip(1) {
        let verb = named.split([' ', '`', '\n']).next().unwrap_or_default();
        ensure!(
            help.contains(&format!("\n  {verb} ")),
            "there is no `snat-ctl {verb}`"
        );
    }
    Ok(())
}

fn alerts() -> Vec<&'static str> {
    let lines = ALERTS.lines().map(str::trim_start);
    lines
        .filter_map(|line| line.strip_prefix("- alert: "))
        .collect()
}

/// What the alerts ask, whole or in pieces: from `expr:` to the next key.
fn expressions() -> impl Iterator<Item = &'static str> {
    ALERTS
        .split(" expr: ")
        .skip(1)
        .filter_map(|rest| rest.split("\n        labels:").next())
}

/// The names of metrics in a query.
fn metrics(query: &str) -> BTreeSet<&str> {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words = query.split(|letter| !is_name(letter));
    words
        .filter(|word| word.starts_with("snat_") || *word == ITS_OWN)
        .collect()
}

/// The texts of every field of that name, however deep.
fn strings(value: &Value, name: &str) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(|item| strings(item, name)).collect(),
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| match value {
                Value::String(text) if key == name => vec![text.clone()],
                value => strings(value, name),
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// From this package's folder.
fn file(path: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    folder.join(path).display().to_string()
}
