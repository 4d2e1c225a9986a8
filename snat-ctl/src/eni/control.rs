//! The verbs that change something: each reads the host anew, decides, and holds the lock meanwhile.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use anyhow::{Context as _, bail};

use super::{
    Applied, Desired, Host, Plan, Store, allot, balance,
    conflicts::conflicts,
    desired::{desired, slots},
    linger::linger,
    names,
    resolve::{Found, resolve},
    translation,
};
use crate::{config::Routing, instance, netlink::NetlinkError};

/// What is to be applied, and by whom.
#[derive(Clone, Debug)]
pub struct Intent {
    /// The instance.
    pub instance: String,
    /// The file.
    pub config: PathBuf,
    /// What it says.
    pub routing: Routing,
}

impl From<Applied> for Intent {
    fn from(applied: Applied) -> Self {
        let Applied {
            instance,
            config,
            routing,
            tables: _,
            gateways: _,
        } = applied;
        Self {
            instance,
            config,
            routing,
        }
    }
}

/// An intent on this host, worked out; nothing is changed yet.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// What was asked for.
    pub intent: Intent,
    /// The host as it is.
    pub host: Host,
    /// Its interfaces.
    pub found: Found,
    /// What the kernel should hold.
    pub desired: Desired,
    /// What is to be done for that.
    pub plan: Plan,
    /// What others have where ours would go, one line each.
    pub conflicts: Vec<String>,
    /// Tables whose interface is not there, or not running.
    pub away: Vec<u32>,
    /// Tables by MAC, to be remembered.
    tables: allot::Tables,
    /// Tables by `match`, of interfaces that are away too.
    by_match: BTreeMap<String, u32>,
    /// Next hops that were found, likewise.
    gateways: BTreeMap<String, Vec<IpAddr>>,
}

/// The configuration can't be applied to this host; nothing was changed.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Refused(pub Vec<String>);

impl Prepared {
    /// Works it out, as far as the host lets it: an interface that cannot be as configured is left out, and what
    /// it has stays. `recent`: tables whose interface came back a moment ago, and is still getting its addresses.
    ///
    /// # Errors
    ///
    /// When the host's tables, or what is remembered of them, can't be read.
    pub fn new(intent: Intent, store: &Store, recent: &[u32]) -> anyhow::Result<Self> {
        let host = Host::read().context("cannot read the host's interfaces, routes and rules")?;
        let tables = allot::allot(&intent.routing, &host)?;
        let before = store.applied()?;
        let (mut by_match, mut gateways) = before
            .map(|applied| (applied.tables, applied.gateways))
            .unwrap_or_default();
        let found = resolve(&intent.routing, &host, &tables, &gateways);
        let conflicts = conflicts(&intent.routing, &found, &host);
        let is_found = |matcher: &String| {
            let mut interfaces = found.interfaces.iter();
            interfaces.any(|interface| interface.eni.matcher.to_string() == *matcher)
        };
        let configured = |matcher: &String| {
            let mut enis = intent.routing.enis.iter();
            enis.any(|eni| eni.matcher.to_string() == *matcher)
        };
        by_match.retain(|matcher, _| configured(matcher) && !is_found(matcher));
        gateways.retain(|matcher, _| configured(matcher));
        let mut away: Vec<u32> = by_match.values().copied().collect();
        for interface in &found.interfaces {
            let matcher = interface.eni.matcher.to_string();
            gateways.insert(matcher.clone(), interface.learnt_gateways().collect());
            by_match.insert(matcher, interface.table);
            if !interface.running {
                away.push(interface.table);
            }
        }
        let mut desired = desired(&intent.routing, &found, &host);
        linger(
            &mut desired,
            &intent.routing,
            &[&away, recent].concat(),
            &host,
        );
        let plan = Plan::new(&desired, &host);
        Ok(Self {
            intent,
            host,
            found,
            desired,
            plan,
            conflicts,
            away,
            tables,
            by_match,
            gateways,
        })
    }

    /// Refuses, for a person, a host that does not fit: all of what is wrong at once.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub fn refuse_misfit(self) -> Result<Self, Refused> {
        let links = self.host.links.iter();
        let present: Vec<_> = links.map(|link| link.name.as_str()).collect();
        let absent = self.found.absent.iter().map(|matcher| {
            format!(
                "no interface is {matcher}; there are: {}",
                present.join(", ")
            )
        });
        let problems = self.found.problems.iter().chain(&self.conflicts).cloned();
        refuse(absent.chain(problems).collect()).map(|()| self)
    }

    /// Whether others have something where ours would go, and nothing of ours is there yet: then it waits for them.
    ///
    /// # Errors
    ///
    /// When what was applied can't be read.
    pub fn must_wait(&self, store: &Store) -> anyhow::Result<bool> {
        Ok(!self.conflicts.is_empty() && store.applied()?.is_none())
    }

    /// Carries the plan out and notes it. Call with the lock held.
    ///
    /// # Errors
    ///
    /// The step that failed; rules and routes are then as before.
    pub fn carry_out(&self, store: &Store) -> anyhow::Result<()> {
        let before = store.applied()?;
        allot::remember(&self.tables)?;
        self.plan.carry_out(&self.host.links)?;
        if let Err(error) = self.settle(store, before.as_ref()) {
            // The first error is the one to tell.
            let _ = self.plan.reversed().carry_out(&self.host.links);
            let _ = store.set_applied(before.as_ref());
            return Err(error);
        }
        Ok(())
    }

    /// As [`Self::carry_out`] for what is kept: each step for itself. Returns what the kernel refused; the plan has what
    /// was done. Call with the lock held.
    ///
    /// # Errors
    ///
    /// What goes with rules and routes could not be brought to the same state.
    pub fn repair(&mut self, store: &Store) -> anyhow::Result<Vec<NetlinkError>> {
        allot::remember(&self.tables)?;
        let refused = self.plan.carry_out_each(&self.host.links);
        self.settle(store, store.applied()?.as_ref())?;
        Ok(refused)
    }

    /// What goes with the rules and routes.
    fn settle(&self, store: &Store, before: Option<&Applied>) -> anyhow::Result<()> {
        self.note(store, before)?;
        self.balance(store)?;
        self.tell_datapath()?;
        if let Err(error) = names::write(&self.table_names()) {
            eprintln!("warning: cannot name the tables for `ip rule`: {error}; all else is done");
        }
        Ok(())
    }

    fn note(&self, store: &Store, before: Option<&Applied>) -> anyhow::Result<()> {
        let Intent {
            instance,
            config,
            routing,
        } = self.intent.clone();
        let applied = Applied {
            instance,
            config,
            routing,
            tables: self.by_match.clone(),
            gateways: self.gateways.clone(),
        };
        if before != Some(&applied) {
            store.set_applied(Some(&applied))?;
        }
        Ok(())
    }

    pub(super) fn tell_datapath(&self) -> anyhow::Result<()> {
        translation::tell(
            &self.intent.instance,
            &self.found,
            &self.desired,
            &self.host,
        )
        .context("cannot tell the datapath of the interfaces")
    }

    /// Names of the tables, of interfaces that are there.
    #[must_use]
    pub fn table_names(&self) -> BTreeMap<u32, String> {
        let interfaces = self.found.interfaces.iter();
        interfaces
            .map(|interface| (interface.table, names::of_table(&interface.name)))
            .collect()
    }

    fn balance(&self, store: &Store) -> anyhow::Result<()> {
        let slots = slots(&self.intent.routing, &self.found);
        if slots.is_empty() {
            balance::remove(&store.pins()).context("cannot end the balancing of connections")?;
            return Ok(());
        }
        balance::install(&store.pins(), self.intent.routing.mark_mask, &slots)
            .context("cannot balance connections")
    }
}

fn refuse(reasons: Vec<String>) -> Result<(), Refused> {
    if reasons.is_empty() {
        Ok(())
    } else {
        Err(Refused(reasons))
    }
}

/// Refuses what another instance's daemon would undo, or be made to keep in place of its own.
///
/// # Errors
///
/// Which one that is; or what was applied can't be read.
pub fn refuse_second_instance(instance: &str, store: &Store) -> anyhow::Result<()> {
    let Some(other) = store.applied()? else {
        return Ok(());
    };
    if other.instance != instance
        && let Some(pid) = instance::daemon(&other.instance)
    {
        bail!(
            "instance {:?} (process {pid}) keeps the policy routes of this host already; put every [[eni]] into its configuration {}",
            other.instance,
            other.config.display()
        );
    }
    Ok(())
}
