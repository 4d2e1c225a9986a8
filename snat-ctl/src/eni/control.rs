//! The verbs that change something: each reads the host anew, decides, and holds the lock meanwhile.

use std::{collections::BTreeMap, path::PathBuf};

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
use crate::{config::Routing, instance};

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
    /// Tables whose interface is not there, or not running.
    pub away: Vec<u32>,
    /// Tables by MAC, to be remembered.
    tables: allot::Tables,
    /// Tables by `match`, of interfaces that are away too.
    by_match: BTreeMap<String, u32>,
}

/// The configuration can't be applied to this host; nothing was changed.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Refused(pub Vec<String>);

impl Prepared {
    /// Works it out. `recent`: tables whose interface came back a moment ago, and is still getting its addresses.
    ///
    /// # Errors
    ///
    /// [`Refused`], or the host's tables can't be read.
    pub fn new(intent: Intent, store: &Store, recent: &[u32]) -> anyhow::Result<Self> {
        let host = Host::read().context("cannot read the host's interfaces, routes and rules")?;
        let tables = allot::allot(&intent.routing, &host)?;
        let found = resolve(&intent.routing, &host, &tables).map_err(Refused)?;
        let conflicts = conflicts(&intent.routing, &found, &host);
        if !conflicts.is_empty() {
            return Err(Refused(conflicts).into());
        }
        let mut by_match = store
            .applied()?
            .map(|applied| applied.tables)
            .unwrap_or_default();
        by_match.retain(|matcher, _| found.absent.contains(matcher));
        let mut away: Vec<u32> = by_match.values().copied().collect();
        for interface in &found.interfaces {
            by_match.insert(interface.eni.matcher.to_string(), interface.table);
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
            away,
            tables,
            by_match,
        })
    }

    /// Refuses what a daemon could wait for and a person should hear of at once.
    ///
    /// # Errors
    ///
    /// [`Refused`]: an interface is not there.
    pub fn refuse_absent(self) -> Result<Self, Refused> {
        if self.found.absent.is_empty() {
            return Ok(self);
        }
        let present: Vec<_> = self
            .host
            .links
            .iter()
            .map(|link| link.name.as_str())
            .collect();
        let absent = self.found.absent.iter().map(|matcher| {
            format!(
                "no interface is {matcher}; there are: {}",
                present.join(", ")
            )
        });
        Err(Refused(absent.collect()))
    }

    /// Carries the plan out and notes it. Call with the lock held.
    ///
    /// # Errors
    ///
    /// The step that failed; rules and routes are then as before.
    pub fn carry_out(&self, store: &Store) -> anyhow::Result<()> {
        allot::remember(&self.tables)?;
        self.plan.carry_out(&self.host.links)?;
        let rest = self.balance(store);
        let rest = rest.and_then(|()| self.tell_datapath());
        if let Err(error) = rest.and_then(|()| self.note(store)) {
            self.plan.reversed().carry_out(&self.host.links)?;
            return Err(error);
        }
        if let Err(error) = names::write(&self.table_names()) {
            eprintln!("warning: cannot name the tables for `ip rule`: {error}; all else is done");
        }
        Ok(())
    }

    fn tell_datapath(&self) -> anyhow::Result<()> {
        translation::tell(
            &self.intent.instance,
            &self.found,
            &self.desired,
            &self.host,
        )
        .context("cannot tell the datapath of the interfaces")
    }

    fn note(&self, store: &Store) -> anyhow::Result<()> {
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
        };
        if store.applied()?.as_ref() == Some(&applied) {
            return Ok(());
        }
        store.set_applied(Some(&applied))
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

/// Removes every rule and route of ours, and all that goes with them. Call with the lock held. What it removed.
///
/// # Errors
///
/// The step that failed; calling again goes on.
pub fn remove(store: &Store) -> anyhow::Result<Plan> {
    let host = Host::read().context("cannot read the host's interfaces, routes and rules")?;
    let applied = store.applied()?;
    // First, so that no daemon puts back what goes.
    store.set_applied(None)?;
    store.set_pending(None)?;
    let plan = Plan::new(&Desired::default(), &host);
    plan.carry_out(&host.links)?;
    if let Some(applied) = applied {
        let told = translation::forget(&applied.instance);
        told.context("cannot tell the datapath that the interfaces are gone")?;
    }
    drop_the_rest(store)?;
    Ok(plan)
}

/// Balancing, names and notes.
pub(super) fn drop_the_rest(store: &Store) -> anyhow::Result<()> {
    balance::remove(&store.pins()).context("cannot end the balancing of connections")?;
    if let Err(error) = names::remove() {
        eprintln!("warning: cannot remove the names of the tables: {error}; all else is done");
    }
    store.forget()
}
