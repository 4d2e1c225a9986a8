//! The gateway's part of a change: maps, hooks, flows.

use anyhow::{Context as _, bail};

use crate::{
    config::Config,
    daemon::{Ground, Up, Wanted, bring_up},
    datapath::{Allowed, Map, Pins, count_others, end_others},
    instance::Record,
};

pub(super) struct Translation {
    pins: Pins,
    old: Option<Config>,
    new: Config,
    ground: Ground,
    allowed: Allowed,
    /// Whether it may forbid what was allowed.
    forbids: bool,
    /// Whether programs have to go to other interfaces or hooks.
    moves: bool,
}

impl Translation {
    pub(super) fn prepare(
        new: &Config,
        old: Option<&Config>,
        unfinished: bool,
    ) -> anyhow::Result<Self> {
        let pins = Pins::of(&new.gateway.name);
        refuse_other_size(&pins, new)?;
        let ground = Ground::of(new)?;
        let allowed = Allowed::by(new, &ground.host, &ground.desired);
        let moves = unfinished
            || old.is_none_or(|old| {
                (&old.gateway.interfaces, old.gateway.datapath)
                    != (&new.gateway.interfaces, new.gateway.datapath)
            });
        Ok(Self {
            forbids: unfinished || old.is_none_or(|old| !allows_the_same(old, &allowed)),
            moves,
            old: old.cloned(),
            new: new.clone(),
            pins,
            ground,
            allowed,
        })
    }

    pub(super) fn count_others(&self) -> anyhow::Result<u64> {
        if !self.forbids {
            return Ok(0);
        }
        count_others(&self.pins, &self.allowed)
            .context("cannot count the flows that would be ended")
    }

    pub(super) fn end_others(&self) -> anyhow::Result<u64> {
        if !self.forbids {
            return Ok(0);
        }
        Ok(end_others(&self.pins, &self.allowed)?)
    }

    pub(super) fn carry_out(&self) -> anyhow::Result<Option<Up>> {
        if !self.moves {
            self.ground.write(&self.pins)?;
            return Ok(None);
        }
        let record = Record::read(&self.new.gateway.name);
        let record = record.unwrap_or_else(|| Record::of(&self.new));
        bring_up(&self.new, record, &Wanted::Present, || Ok(())).map(Some)
    }

    pub(super) fn put_back(&self) -> anyhow::Result<()> {
        let Some(old) = &self.old else {
            bail!("it is not known what that was");
        };
        if !self.moves {
            return Ground::of(old)?.write(&self.pins);
        }
        let record = Record::read(&old.gateway.name).unwrap_or_else(|| Record::of(old));
        bring_up(old, record, &Wanted::Present, || Ok(())).map(drop)
    }
}

/// As a start does it: ends what `new` forbids and the configuration before did not. How many flows that were.
///
/// # Errors
///
/// When the tables cannot be read or written.
pub fn end_what_is_left(
    new: &Config,
    old: Option<&Config>,
    unfinished: bool,
) -> anyhow::Result<u64> {
    let ground = Ground::of(new)?;
    let allowed = Allowed::by(new, &ground.host, &ground.desired);
    // Where nothing is known of what was before, nothing is ended for what may be no change at all.
    if !unfinished && old.is_none_or(|old| allows_the_same(old, &allowed)) {
        return Ok(0);
    }
    Ok(end_others(&Pins::of(&new.gateway.name), &allowed)?)
}

/// Whether a configuration allows the same, on the host as it is now: else an address that is away for a moment would be one
/// that the new one takes away. What does not fit the host any more is taken for another.
fn allows_the_same(old: &Config, allowed: &Allowed) -> bool {
    Ground::of(old).is_ok_and(|ground| Allowed::by(old, &ground.host, &ground.desired) == *allowed)
}

/// A table has the size that it was made with.
fn refuse_other_size(pins: &Pins, config: &Config) -> anyhow::Result<()> {
    let name = &config.gateway.name;
    let flows = Map::open(pins.dir(), "FLOWS").with_context(|| {
        format!("instance {name:?} has no datapath at work: `snat-ctl run` begins one")
    })?;
    let (has, wants) = (flows.max_entries() / 2, config.gateway.max_flows);
    if has != wants {
        bail!(
            "gateway.max_flows: the table at work has room for {has} flows, and {} says {wants}; nothing was changed. A table of another size takes `snat-ctl unload --name {name}` and a start, which ends all flows",
            config.path.display()
        );
    }
    Ok(())
}
