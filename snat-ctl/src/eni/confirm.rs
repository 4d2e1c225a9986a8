//! A change that comes back by itself unless it is confirmed.
//!
//! Who takes it back is whoever comes first once its time is over: the guard that `apply` started, the daemon a second
//! later, the next `apply` or `run` if both were killed. `plan`, `verify` and `status` change nothing, and `status`
//! tells. As long as it is there it can be confirmed, also late.

use std::time::Duration;

use anyhow::{Context as _, bail};

use super::{
    Desired, Host, Pending, Plan, Store, control::Prepared, removal::drop_the_rest, store,
};

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
    let failed = Plan::new(&before, &host).carry_out_each(&host.links);
    store.set_applied(pending.previous.as_ref())?;
    store.set_pending(None)?;
    match pending.previous {
        // Its balancing, its names; and what the host has become meanwhile.
        Some(previous) => Prepared::new(previous.into(), store, &[])?.carry_out(store)?,
        None => drop_the_rest(store)?,
    }
    if !failed.is_empty() {
        let failed: Vec<_> = failed.iter().map(ToString::to_string).collect();
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

fn reasoned<T: Clone>(objects: &[T]) -> Vec<(T, String)> {
    let why = "as it was before";
    objects
        .iter()
        .map(|object| (object.clone(), why.to_owned()))
        .collect()
}
