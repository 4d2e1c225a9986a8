//! `snat-ctl drops` that follows what happens, in the background.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::Ipv4Addr,
    process::{Child, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use snat_tests::{gateway::program, scene::Scene, wait};

use crate::{Provoked, SOON};

/// One that runs; it ends with this.
pub(crate) struct Watcher {
    child: Child,
    shown: Arc<Mutex<Vec<Value>>>,
    reader: Option<JoinHandle<()>>,
    said: Option<JoinHandle<String>>,
}

impl Watcher {
    /// Starts it with these arguments and waits until it watches.
    pub(crate) fn start(scene: &Scene, arguments: &[&str]) -> Result<Self> {
        let mut command = scene.topology.gateway.netns.command(program()?);
        let mut child = command
            .args(["--name", scene.gateway.name(), "drops"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut stderr = BufReader::new(child.stderr.take().context("no standard error")?);
        let mut first = String::new();
        stderr.read_line(&mut first)?;
        ensure!(first.starts_with("watching"), "it said: {first}");
        let shown = Arc::<Mutex<Vec<Value>>>::default();
        let lines = Arc::clone(&shown);
        Ok(Self {
            child,
            shown,
            reader: Some(thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    // A line that is not JSON fails whoever looks for what it should have said.
                    let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                    lines
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(value);
                }
            })),
            said: Some(thread::spawn(move || {
                let mut rest = String::new();
                stderr.read_to_string(&mut rest).ok();
                rest
            })),
        })
    }

    /// What it has shown so far.
    pub(crate) fn shown(&self) -> Vec<Value> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.clone()
    }

    /// Waits until it has shown this packet.
    pub(crate) fn expect(&self, provoked: &Provoked) -> Result<Value> {
        wait::until(SOON, &format!("{provoked:?} is shown"), || {
            let shown = self.shown();
            let found = shown.iter().find(|line| is(line, provoked));
            found
                .cloned()
                .with_context(|| format!("{} others are", shown.len()))
        })
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Interrupts it, as ^C does; what it has shown, and what it said then.
    pub(crate) fn end(mut self) -> Result<(Vec<Value>, String)> {
        kill(Pid::from_raw(self.pid().cast_signed()), Signal::SIGINT)?;
        self.wait()
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> Result<(Vec<Value>, String)> {
        let status = wait::until(SOON, "`snat-ctl drops` ends", || {
            self.child.try_wait()?.context("still running")
        })?;
        let said = self.said.take().and_then(|said| said.join().ok());
        let said = said.unwrap_or_default();
        ensure!(status.success(), "it ended with {status}: {said}");
        self.reader.take().map(JoinHandle::join);
        Ok((self.shown(), said))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn is(line: &Value, provoked: &Provoked) -> bool {
    let addr = |key: &str| line[key].as_str().and_then(|text| text.parse().ok());
    line["reason"] == provoked.reason.name()
        && addr("source") == Some(provoked.src)
        && addr("destination") == Some::<Ipv4Addr>(provoked.dst)
}
