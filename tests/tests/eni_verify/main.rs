//! `snat-ctl eni verify`, and that access rules do on the wire what verify says of them.

mod access;
mod attempt;
mod probe;
mod wrong;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use snat_tests::{
    eni::{Ended, EniCtl, section, serve},
    session::LineServer,
    topology::{
        enis::{ETH1, Enis},
        unique_prefix,
    },
    traffic::SSH,
};

/// The documented example, applied, and services on both sides of the router.
struct Scene {
    ctl: EniCtl,
    _services: [LineServer; 2],
    enis: Enis,
}

impl Scene {
    /// `more` comes behind the section of eth1.
    fn new(more: &str) -> Result<Self> {
        let prefix = unique_prefix();
        Self::of(Enis::build(&prefix)?, &prefix, more)
    }

    /// With a container behind `br0`.
    fn with_container(more: &str) -> Result<Self> {
        let prefix = unique_prefix();
        let mut enis = Enis::build(&prefix)?;
        enis.add_container()?;
        Self::of(enis, &prefix, more)
    }

    fn of(enis: Enis, prefix: &str, more: &str) -> Result<Self> {
        let config = section(&ETH1, "") + more;
        let scene = Self {
            ctl: EniCtl::new(&enis.vm, &format!("{prefix}eni"), &config)?,
            _services: [serve(&enis)?, LineServer::start_dual(&enis.srv, SSH)?],
            enis,
        };
        scene.ctl.done("apply")?;
        Ok(scene)
    }

    /// Verifies, and fails unless it ends with this code and prints all of these.
    fn verify(&self, code: i32, prints: &[&str]) -> Result<Ended> {
        let ended = self.ctl.run("verify")?.expect(code)?;
        for text in prints {
            ensure!(ended.stdout.contains(text), "without {text:?}: {ended}");
        }
        Ok(ended)
    }

    /// The checks whose intent begins so.
    fn checks(&self, intent: &str) -> Result<Vec<Value>> {
        let report = self.ctl.json("verify")?;
        let checks = report["checks"].as_array().context("no checks")?;
        let is_meant = |check: &&Value| {
            let of = check["intent"].as_str().unwrap_or_default();
            of.starts_with(intent)
        };
        Ok(checks.iter().filter(is_meant).cloned().collect())
    }
}
