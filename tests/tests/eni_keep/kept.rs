//! A host with ENIs whose policy routes a daemon keeps.

use std::{collections::BTreeSet, fmt::Write as _, time::Duration};

use anyhow::{Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use snat_ctl::eni::{Host, Object};
use snat_tests::{
    eni::{EniCtl, section, serve},
    gateway::Gateway,
    netns::Netns,
    session::LineServer,
    topology::{
        enis::{ETH1, Enis},
        unique_prefix,
    },
    wait,
};

/// Rules and routes of ours that the kernel has.
pub(crate) type Ours = BTreeSet<Object>;

/// The longest that a repair may take.
pub(crate) const A_SECOND: Duration = Duration::from_secs(1);

/// For what must happen, whenever that is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A running daemon and its host.
pub(crate) struct Kept {
    pub(crate) daemon: Gateway,
    pub(crate) ctl: EniCtl,
    _service: LineServer,
    pub(crate) enis: Enis,
}

impl Kept {
    /// Keeps eth1, with a default route in the main table too.
    pub(crate) fn eth1() -> Result<Self> {
        let prefix = unique_prefix();
        let config = section(&ETH1, "default_metric = 200");
        Self::of(Enis::build(&prefix)?, &prefix, &config)
    }

    /// Keeps what the configuration says. `prefix` is that of the namespaces.
    pub(crate) fn of(enis: Enis, prefix: &str, config: &str) -> Result<Self> {
        let ctl = EniCtl::new(&enis.vm, &format!("{prefix}keep"), config)?;
        Ok(Self {
            daemon: ctl.daemon()?,
            ctl,
            _service: serve(&enis)?,
            enis,
        })
    }

    /// What there is of ours now.
    pub(crate) fn ours(&self) -> Result<Ours> {
        ours(&self.enis.vm)
    }

    /// Whether there is a rule of ours with this text.
    pub(crate) fn has_rule(&self, text: &str) -> Result<bool> {
        let ours = self.ours()?;
        let mut rules = ours.iter().filter(|one| matches!(one, Object::Rule(_)));
        Ok(rules.any(|rule| rule.to_string().contains(text)))
    }

    /// Runs `ip` on the host.
    pub(crate) fn ip(&self, line: &str) -> Result<()> {
        self.enis.vm.run(&format!("ip {line}")).map(drop)
    }

    /// Sends the daemon a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let daemon = Pid::from_raw(self.daemon.pid().cast_signed());
        Ok(kill(daemon, signal)?)
    }

    /// Waits until all of these are there, and nothing else of ours.
    pub(crate) fn becomes(&self, wanted: &Ours, within: Duration) -> Result<()> {
        closely(within, || expect_same(&self.ours()?, wanted))
    }

    /// How much the daemon says that it has repaired.
    pub(crate) fn repairs(&self) -> usize {
        self.daemon.log().matches("repaired: ").count()
    }

    /// Waits until the daemon has said this.
    pub(crate) fn says(&self, text: &str, within: Duration) -> Result<()> {
        wait::until(within, "the daemon's word", || {
            let log = self.daemon.log();
            ensure!(log.contains(text), "it never says {text:?}: {log}");
            Ok(())
        })
    }
}

/// What the kernel has of ours in a namespace.
pub(crate) fn ours(vm: &Netns) -> Result<Ours> {
    let host = vm.enter(|| Ok(Host::read()?))?;
    let routes = host.our_routes().cloned().map(Object::Route);
    Ok(routes
        .chain(host.our_rules().cloned().map(Object::Rule))
        .collect())
}

/// Looks every millisecond.
pub(crate) fn closely<T>(within: Duration, attempt: impl FnMut() -> Result<T>) -> Result<T> {
    wait::every(Duration::from_millis(1), within, "repair", attempt)
}

/// Fails with what is missing and what is too much.
pub(crate) fn expect_same(now: &Ours, wanted: &Ours) -> Result<()> {
    let mut text = String::new();
    for (sign, one, other) in [('-', wanted, now), ('+', now, wanted)] {
        for object in one.difference(other) {
            let _ = writeln!(text, "{sign} {object}");
        }
    }
    ensure!(text.is_empty(), "it is not as it should be:\n{text}");
    Ok(())
}
