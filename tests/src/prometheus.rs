//! A Prometheus, Debian's, that scrapes a gateway.

use std::{
    fs,
    io::{Seek as _, Write as _},
    net::{Ipv4Addr, SocketAddrV4},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::{netns::Netns, program, scrape, wait};

/// Where it answers, on its namespace's loopback.
const API: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9090);
/// A busy machine takes its time.
const READY: Duration = Duration::from_secs(30);

/// A running one; dropping it ends it.
pub struct Prometheus<'a> {
    netns: &'a Netns,
    child: Child,
    dir: TempDir,
}

impl<'a> Prometheus<'a> {
    /// Starts it in the namespace; it scrapes `target` every second, and has the rules of a file, if given.
    pub fn start(netns: &'a Netns, target: SocketAddrV4, rules: Option<&Path>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let config = dir.path().join("prometheus.yml");
        let rules = rules.map_or(String::new(), |rules| format!("rule_files: [{rules:?}]\n"));
        fs::write(
            &config,
            format!(
                "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n{rules}\
                 scrape_configs:\n  - job_name: snat\n    static_configs: [{{ targets: [\"{target}\"] }}]\n"
            ),
        )?;
        let log = fs::File::create(dir.path().join("log"))?;
        let mut command = netns.command(program::find("prometheus")?);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                dir.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={API}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let child = command
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let mut prometheus = Self { netns, child, dir };
        prometheus.await_ready()?;
        Ok(prometheus)
    }

    /// Asks for a path of its API, and returns `data` of the answer.
    pub fn api(&self, path: &str) -> Result<Value> {
        let answer = scrape::request(self.netns, API, &format!("GET /api/v1/{path} HTTP/1.0\r\n"))?;
        let json: Value = serde_json::from_str(&answer.body)?;
        ensure!(json["status"] == "success", "{path}: {json}");
        Ok(json["data"].clone())
    }

    /// The answer to an expression, now.
    pub fn query(&self, expression: &str) -> Result<Value> {
        self.api(&format!("query?query={}", escaped(expression)))
    }

    /// The value now of an expression that is one number.
    pub fn value(&self, expression: &str) -> Result<f64> {
        let data = self.query(expression)?;
        let value = match &data["result"] {
            Value::Array(series) if series.len() == 1 => series[0]["value"][1].as_str(),
            _ => None,
        };
        let value = value.with_context(|| format!("{expression} is not one number: {data}"))?;
        Ok(value.parse()?)
    }

    /// Waits until it has begun and ended a scrape after now.
    pub fn scraped(&self) -> Result<()> {
        let count = "count_over_time(up{job=\"snat\"}[1h])";
        let before = self.value(count).unwrap_or_default();
        // The first of these may have begun before.
        wait::until(READY, "two more scrapes", || {
            let now = self.value(count)?;
            ensure!(now >= before + 2.0, "{now} after {before}");
            Ok(())
        })?;
        let up = self.value("min_over_time(up{job=\"snat\"}[5s])")?;
        ensure!(up == 1.0, "a scrape has failed: {}", self.api("targets")?);
        Ok(())
    }

    fn await_ready(&mut self) -> Result<()> {
        wait::until(READY, "Prometheus answers and has scraped", || {
            if let Some(status) = self.child.try_wait()? {
                // It won't come back; the log says why.
                let log = fs::read_to_string(self.dir.path().join("log"))?;
                panic!("Prometheus ended with {status}:\n{log}");
            }
            let up = self.value("up{job=\"snat\"}")?;
            ensure!(up == 1.0, "the target is down: {}", self.api("targets")?);
            Ok(())
        })
    }
}

impl Drop for Prometheus<'_> {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Runs promtool, with a text on its standard input; returns what it said, and fails if it is not content.
pub fn promtool(arguments: &[&str], input: &str) -> Result<String> {
    let mut file = tempfile::tempfile()?;
    file.write_all(input.as_bytes())?;
    file.rewind()?;
    let mut command = Command::new(program::find("promtool")?);
    let output = command.args(arguments).stdin(file).output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    ensure!(
        output.status.success(),
        "{command:?}: {}: {said}",
        output.status
    );
    Ok(said)
}

fn escaped(expression: &str) -> String {
    let escape = |byte: u8| {
        if byte.is_ascii_alphanumeric() {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    expression.bytes().map(escape).collect()
}
