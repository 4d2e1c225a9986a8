//! The verbs that change something: each reads the host anew, decides, and holds the lock meanwhile.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::{Context as _, bail};

use super::{
    Applied, Desired, Host, Pending, Plan, Store, allot, balance,
    conflicts::conflicts,
    desired::{desired, slots},
    linger::linger,
    names,
    resolve::{Found, resolve},
    store, translation,
};
use crate::config::Routing;

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
        linger(&mut desired, &[&away, recent].concat(), &host);
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

/// Notes what is there, so that it can come back by itself. Call with the lock held, before anything is changed.
///
/// # Errors
///
/// The failing file operation.
pub fn prepare_return(prepared: &Prepared, within: Duration, store: &Store) -> anyhow::Result<()> {
    store.set_pending(Some(&Pending {
        deadline: store::now() + within.as_millis() as u64,
        previous: store.applied()?,
        rules: prepared.host.our_rules().cloned().collect(),
        routes: prepared.host.our_routes().cloned().collect(),
    }))
}

/// Takes back what waits to be confirmed. Call with the lock held. False if nothing does.
///
/// # Errors
///
/// The step that failed.
pub fn take_back(store: &Store) -> anyhow::Result<bool> {
    let Some(pending) = store.pending()? else {
        return Ok(false);
    };
    let host = Host::read().context("cannot read the host's interfaces, routes and rules")?;
    let before = Desired {
        routes: reasoned(&pending.routes),
        rules: reasoned(&pending.rules),
    };
    // Each step for itself: what is in the way of one must not keep the others from coming back.
    let failed: Vec<_> = Plan::new(&before, &host)
        .changes
        .iter()
        .filter_map(|change| {
            Some(format!(
                "{change}: {}",
                change.carry_out(&host.links).err()?
            ))
        })
        .collect();
    store.set_applied(pending.previous.as_ref())?;
    store.set_pending(None)?;
    match pending.previous {
        // Its balancing, its names; and what the host has become meanwhile.
        Some(previous) => Prepared::new(previous.into(), store, &[])?.carry_out(store)?,
        None => drop_the_rest(store)?,
    }
    if !failed.is_empty() {
        bail!("cannot take everything back: {}", failed.join("; "));
    }
    Ok(true)
}

/// As [`take_back`], only if its time is over. Call with the lock held.
///
/// # Errors
///
/// As [`take_back`].
pub fn take_back_overdue(store: &Store) -> anyhow::Result<()> {
    let pending = store.pending()?;
    if pending.is_some_and(|pending| pending.left().is_zero()) {
        take_back(store).context("cannot take back what was not confirmed")?;
        eprintln!("taken back: the last change of policy routes was not confirmed in time");
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

fn drop_the_rest(store: &Store) -> anyhow::Result<()> {
    balance::remove(&store.pins()).context("cannot end the balancing of connections")?;
    names::remove().context("cannot remove the names of the tables")?;
    store.forget()
}

fn reasoned<T: Clone>(objects: &[T]) -> Vec<(T, String)> {
    let why = "as it was before";
    objects
        .iter()
        .map(|object| (object.clone(), why.to_owned()))
        .collect()
}
