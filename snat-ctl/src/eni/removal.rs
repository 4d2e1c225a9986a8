//! `remove`: nothing of ours is left.

use anyhow::Context as _;

use super::{Desired, Host, Plan, Store, balance, names, translation};

/// Removes every rule and route of ours, and all that goes with them. Call with the lock held. What it removed.
///
/// # Errors
///
/// The step that failed; calling again goes on.
pub fn remove(store: &Store) -> anyhow::Result<Plan> {
    let host = Host::read().context("cannot read the host's interfaces, routes and rules")?;
    // While it is known whose it is.
    if let Some(applied) = store.applied()? {
        let told = translation::forget(&applied.instance);
        told.context("cannot tell the datapath that the interfaces are gone")?;
    }
    // Before the rules, so that no daemon puts back what goes.
    store.set_applied(None)?;
    store.set_pending(None)?;
    let plan = Plan::new(&Desired::default(), &host);
    plan.carry_out(&host.links)?;
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
