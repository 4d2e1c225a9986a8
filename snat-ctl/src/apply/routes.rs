//! The policy routes' part of a change.

use anyhow::bail;

use crate::{
    config::{File, Routing, difference},
    eni::{
        Store, confirm,
        control::{self, Intent, Prepared},
        removal,
    },
};

pub(super) struct Routes {
    /// `None`: they stay as they are.
    change: Option<Step>,
}

struct Step {
    from: Option<Intent>,
    to: Option<Intent>,
}

impl Routes {
    pub(super) fn prepare(
        new: &File,
        old: Option<&File>,
        unfinished: bool,
    ) -> anyhow::Result<Self> {
        let intent = |file: &File| file.routing.clone().map(|routing| of(file, routing));
        let (from, to) = (old.and_then(intent), intent(new));
        let same = old.is_some_and(|old| {
            let alone = |file: &File| File {
                gateway: None,
                ..file.clone()
            };
            difference(&alone(old), &alone(new)).is_empty()
        });
        if from.is_none() && to.is_none() || same && !unfinished {
            return Ok(Self { change: None });
        }
        let store = Store::open()?;
        if let Some(to) = &to {
            control::refuse_second_instance(&to.instance, &store)?;
        }
        let _lock = store.lock()?;
        confirm::take_back_overdue(&store)?;
        if store.pending()?.is_some() {
            bail!(
                "a change of policy routes waits to be confirmed: `snat-ctl eni confirm` keeps it, `snat-ctl eni revert` takes it back; nothing was changed"
            );
        }
        if let Some(to) = to.clone() {
            Prepared::new(to, &store, &[])?.refuse_misfit()?;
        }
        Ok(Self {
            change: Some(Step { from, to }),
        })
    }

    pub(super) fn carry_out(&self) -> anyhow::Result<()> {
        let change = self.change.as_ref();
        change.map_or(Ok(()), |change| bring_to(change.to.as_ref()))
    }

    pub(super) fn put_back(&self) -> anyhow::Result<()> {
        let change = self.change.as_ref();
        change.map_or(Ok(()), |change| bring_to(change.from.as_ref()))
    }
}

fn of(file: &File, routing: Routing) -> Intent {
    Intent {
        instance: file.name.clone(),
        config: file.path.clone(),
        routing,
    }
}

fn bring_to(intent: Option<&Intent>) -> anyhow::Result<()> {
    let store = Store::open()?;
    let _lock = store.lock()?;
    match intent {
        Some(intent) => Prepared::new(intent.clone(), &store, &[])?.carry_out(&store),
        None => removal::remove(&store).map(drop),
    }
}
