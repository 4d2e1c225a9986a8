//! Keeps what was applied: looks at everything anew whenever something changed, and repairs.

mod grudge;
mod repairs;
mod watch;

use std::{
    collections::BTreeMap,
    mem,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::time::{sleep, timeout};

pub use self::repairs::repairs;
use self::{
    grudge::Grudges,
    repairs::Repairs,
    watch::{Events, Heard},
};
use super::{
    Object, Plan, Store, Verb,
    confirm::take_back_overdue,
    control::{Intent, Prepared},
};
use crate::{last_errors, netlink::NetlinkError, output::told};

/// How long the addresses of an interface that came back may take to come too.
const COMING_BACK: Duration = Duration::from_secs(30);
/// Even if nothing was heard there is a look after this time.
const SWEEP: Duration = Duration::from_secs(30);
/// And after this one if the last went wrong.
const AGAIN: Duration = Duration::from_secs(2);
/// Longest pause between two looks for the sake of others.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The keeper of a network namespace's policy routes.
#[derive(Debug)]
pub struct Keeper {
    store: Store,
    events: Events,
    /// Index of each table's interface, as of the last look.
    known: BTreeMap<u32, u32>,
    /// When each table's interface was last seen away.
    away: BTreeMap<u32, Instant>,
    /// What the last look removed: its notifications are still to come.
    removed: Vec<Object>,
    grudges: Grudges,
    repairs: Repairs,
    /// What was last said of trouble, so that it is said once.
    said: String,
    /// What it was started with, while that must wait: for another change to be confirmed, for others to make room.
    after: Option<Intent>,
}

impl Keeper {
    /// Applies the intent, and begins to keep it. Interfaces that are not there yet are waited for.
    ///
    /// # Errors
    ///
    /// The host can't take it, or doesn't tell of its changes; nothing was changed then.
    pub fn start(intent: Intent) -> anyhow::Result<Self> {
        let store = Store::open()?;
        // Before the first look, so that nothing happens unheard after it.
        let events = Events::listen().context("cannot hear of changes of the host's network")?;
        let mut keeper = Self {
            store: store.clone(),
            events,
            known: BTreeMap::new(),
            away: BTreeMap::new(),
            removed: Vec::new(),
            grudges: Grudges::default(),
            repairs: Repairs::default(),
            said: String::new(),
            after: None,
        };
        let _lock = store.lock()?;
        // A daemon that comes after a crash finds the change that waited when its time is over.
        take_back_overdue(&store)?;
        if store.pending()?.is_some() {
            eprintln!(
                "warning: a change of policy routes waits to be confirmed; the configuration is applied after that"
            );
            keeper.after = Some(intent);
        } else {
            let prepared = Prepared::new(intent, &store, &[])?;
            if prepared.must_wait(&store)? {
                keeper.complain(&prepared, &[]);
                keeper.after = Some(prepared.intent);
                return Ok(keeper);
            }
            for note in &prepared.found.notes {
                eprintln!("note: {note}");
            }
            keeper.complain(&prepared, &[]);
            for matcher in &prepared.found.absent {
                eprintln!("warning: no interface is {matcher} yet; its rules come when it does");
            }
            prepared.carry_out(&store)?;
            keeper.note(&prepared);
        }
        Ok(keeper)
    }

    /// Tells the datapath of the same instance, whose maps are there, before it takes packets.
    ///
    /// # Errors
    ///
    /// The host can't be read, or a map not be written.
    pub fn tell_datapath(&self) -> anyhow::Result<()> {
        let _lock = self.store.lock()?;
        self.store.applied()?.map_or(Ok(()), |applied| {
            Prepared::new(applied.into(), &self.store, &self.recent())?.tell_datapath()
        })
    }

    /// Keeps it.
    pub async fn work(&mut self) -> ! {
        let mut wait = Duration::ZERO;
        loop {
            let mut heard = timeout(wait, self.events.next()).await.unwrap_or_default();
            heard.forgive(&self.removed);
            let begin = Instant::now();
            wait = match self.look(&heard) {
                Ok(next) => next.unwrap_or(SWEEP).min(SWEEP),
                Err(error) => {
                    self.say_once(told(&error));
                    AGAIN
                }
            };
            // On a host with very many routes, that keep changing, looking is not to be all that is done.
            sleep(begin.elapsed().min(LONGEST_PAUSE)).await;
        }
    }

    /// Looks, and repairs what is not as it was applied. Returns when to look again even if nothing changes.
    ///
    /// # Errors
    ///
    /// What kept it from looking or repairing; the next look tries again.
    fn look(&mut self, heard: &Heard) -> anyhow::Result<Option<Duration>> {
        let begin = Instant::now();
        let _lock = self.store.lock()?;
        take_back_overdue(&self.store)?;
        let Some(intent) = self.intent()? else {
            return Ok(None);
        };
        self.expire(heard);
        let mut prepared = Prepared::new(intent.clone(), &self.store, &self.recent())?;
        if prepared.must_wait(&self.store)? {
            self.complain(&prepared, &[]);
            self.after = Some(intent);
            return Ok(None);
        }
        if self.note(&prepared) {
            prepared = Prepared::new(intent, &self.store, &self.recent())?;
        }
        let (plan, wait) = self.grudges.admit(prepared.plan, heard);
        prepared.plan = plan;
        let refused = prepared.repair(&self.store)?;
        self.removed = prepared.plan.removed().cloned().collect();
        self.complain(&prepared, &refused);
        self.tell(&prepared.plan, heard, begin)?;
        let again = (!refused.is_empty()).then_some(AGAIN);
        let back = (!self.away.is_empty()).then_some(COMING_BACK);
        let next = [wait, again, back, self.deadline()?];
        Ok(next.into_iter().flatten().min())
    }

    /// What is to be kept: nothing after it was removed, until something is applied again.
    fn intent(&mut self) -> anyhow::Result<Option<Intent>> {
        if self.store.pending()?.is_none()
            && let Some(intent) = self.after.take()
        {
            return Ok(Some(intent));
        }
        Ok(self.store.applied()?.map(Intent::from))
    }

    /// Forgets what was away long ago, and adds what was heard to be away.
    fn expire(&mut self, heard: &Heard) {
        self.away.retain(|_, seen| seen.elapsed() < COMING_BACK);
        let known = self.known.iter();
        let gone = known.filter(|(_, index)| heard.was_away(**index));
        let now = Instant::now();
        self.away.extend(gone.map(|(table, _)| (*table, now)));
    }

    /// Tables whose interface is back for less than it may take.
    fn recent(&self) -> Vec<u32> {
        self.away.keys().copied().collect()
    }

    /// Notes what is away, and what must have been away since the last look though nothing was heard of it yet.
    /// Returns whether there is any of the latter.
    fn note(&mut self, prepared: &Prepared) -> bool {
        let interfaces = prepared.found.interfaces.iter();
        let now: BTreeMap<_, _> = interfaces
            .map(|interface| (interface.table, interface.index))
            .collect();
        let before = mem::replace(&mut self.known, now);
        let is_another = |(table, index): &(&u32, &u32)| {
            before.get(table).is_some_and(|before| before != *index)
        };
        let another: Vec<_> = self
            .known
            .iter()
            .filter(is_another)
            .map(|(table, _)| *table)
            .collect();
        let seen = prepared.away.iter().chain(&another);
        self.away.extend(seen.map(|table| (*table, Instant::now())));
        !another.is_empty()
    }

    fn deadline(&self) -> anyhow::Result<Option<Duration>> {
        let pending = self.store.pending()?;
        // The guard comes first; this is for when it was killed.
        Ok(pending.map(|pending| pending.left() + Duration::from_secs(1)))
    }

    fn tell(&mut self, plan: &Plan, heard: &Heard, begin: Instant) -> anyhow::Result<()> {
        if heard.lost() {
            eprintln!("warning: the kernel's notifications ran over; looked at everything anew");
        }
        for line in self.grudges.news() {
            self.warn(&line);
        }
        if plan.is_empty() {
            return Ok(());
        }
        let took = heard
            .since()
            .map_or(begin.elapsed(), |first| first.elapsed());
        for change in &plan.changes {
            let by = match change.verb {
                Verb::Add => heard.who_deleted(&change.object),
                Verb::Remove => None,
            };
            let by = by
                .map(|who| format!(", deleted by {who}"))
                .unwrap_or_default();
            let what = format!("{change}{by}, within {} ms", took.as_millis());
            eprintln!("repaired: {what}");
            self.repairs.add(what);
        }
        self.repairs.write(&self.store)
    }

    /// What is wrong with the host, as long as it is, and what it takes no more.
    fn complain(&mut self, prepared: &Prepared, refused: &[NetlinkError]) {
        let problems = prepared.found.problems.iter().chain(&prepared.conflicts);
        let refused = refused.iter().map(ToString::to_string);
        let all: Vec<_> = problems.cloned().chain(refused).collect();
        self.say_once(all.join("\n"));
    }

    /// Says what is found at every look once, until it is something else.
    fn say_once(&mut self, text: String) {
        if text != self.said {
            for line in text.lines() {
                self.warn(&format!("policy routes: {line}"));
            }
            self.said = text;
        }
    }

    /// Into the log, and for `status` of the instance whose routes these are.
    fn warn(&self, text: &str) {
        match self.store.applied() {
            Ok(Some(applied)) => last_errors::warn(&applied.instance, text),
            _ => eprintln!("warning: {text}"),
        }
    }
}
