//! Something else that keeps undoing us: it is named, and we give way more and more.
//!
//! Two programs that undo each other as fast as they can help nobody. So what was put right several times within a
//! minute waits longer each time, and a person is told who it was and how often.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::Heard;
use crate::eni::{Change, Object, Plan, RouteKind, Verb};

/// Within this time repairs of the same thing count together.
const WINDOW: Duration = Duration::from_secs(60);
/// That many are made at once; from then on each waits twice as long as the last.
const PATIENT: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Everything that was repaired lately.
#[derive(Debug, Default)]
pub(super) struct Grudges {
    by_object: HashMap<Object, Grudge>,
    news: Vec<String>,
}

#[derive(Debug)]
struct Grudge {
    times: u32,
    last: Instant,
    not_before: Instant,
    /// It is not put back yet.
    withheld: bool,
    who: Option<String>,
}

impl Grudges {
    /// What of the plan is to be done now, and when to look for the rest.
    pub(super) fn admit(&mut self, plan: Plan, heard: &Heard) -> (Plan, Option<Duration>) {
        let now = Instant::now();
        self.by_object
            .retain(|_, grudge| now < grudge.last.max(grudge.not_before) + WINDOW);
        let mut wait: Option<Duration> = None;
        let mut admitted = Plan::default();
        for change in plan.changes {
            match self.delay(&change, heard, now) {
                None => admitted.changes.push(change),
                Some(delay) => wait = Some(wait.map_or(delay, |other| other.min(delay))),
            }
        }
        (admitted, wait)
    }

    /// What a person should hear.
    pub(super) fn news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.news)
    }

    /// How long a repair has to wait still.
    fn delay(&mut self, change: &Change, heard: &Heard, now: Instant) -> Option<Duration> {
        // A guard never waits: without it the table leaks.
        if change.verb == Verb::Remove || is_guard(&change.object) {
            return None;
        }
        let who = heard.who_deleted(&change.object);
        let undone = who.is_some() || heard.lost();
        let known = self.by_object.get(&change.object);
        // A link that goes down takes its routes along each time: it is no fault of anybody, and must not wait.
        if !undone && !known.is_some_and(|grudge| grudge.withheld) {
            return None;
        }
        let grudge = self
            .by_object
            .entry(change.object.clone())
            .or_insert_with(|| Grudge {
                times: 0,
                last: now,
                not_before: now,
                withheld: false,
                who: None,
            });
        grudge.who = who.or_else(|| grudge.who.take());
        if now < grudge.not_before {
            grudge.withheld = true;
            return Some(grudge.not_before - now);
        }
        grudge.withheld = false;
        grudge.times += 1;
        grudge.last = now;
        if grudge.times >= PATIENT {
            let doublings = (grudge.times - PATIENT).min(16);
            let wait = (FIRST_WAIT * 2_u32.pow(doublings)).min(LONGEST_WAIT);
            grudge.not_before = now + wait;
            self.news.push(format!(
                "something keeps undoing us: `{}` was gone {} times in a row, by {}; if that goes on it is put back after {} s only",
                change.object,
                grudge.times,
                grudge.who.as_deref().unwrap_or("somebody unknown"),
                wait.as_secs()
            ));
        }
        None
    }
}

fn is_guard(object: &Object) -> bool {
    matches!(object, Object::Route(route) if route.kind != RouteKind::Unicast)
}

#[cfg(test)]
mod tests {
    use super::{Grudges, Heard, PATIENT, Plan};
    use crate::eni::{Action, Change, Family, Object, Rule, Verb};

    #[test]
    fn what_is_undone_again_and_again_waits_and_is_told_and_the_rest_does_not_wait() {
        let mut grudges = Grudges::default();
        let heard = Heard::of(rule(1), "process 7 (ip)");
        for _ in 0..PATIENT {
            assert_eq!(grudges.admit(plan(1), &heard), (plan(1), None));
        }
        let news = grudges.news();
        assert!(
            news.len() == 1 && news[0].contains("5 times in a row, by process 7 (ip)"),
            "{news:?}"
        );
        let (now, wait) = grudges.admit(plan(1), &heard);
        assert!(now.is_empty() && wait.is_some(), "{now:?} {wait:?}");
        assert_eq!(grudges.admit(plan(2), &heard), (plan(2), None));
    }

    #[test]
    fn what_nobody_undid_never_waits() {
        let (mut grudges, heard) = (Grudges::default(), Heard::default());
        for _ in 0..3 * PATIENT {
            assert_eq!(grudges.admit(plan(1), &heard), (plan(1), None));
        }
    }

    fn plan(priority: u32) -> Plan {
        Plan {
            changes: vec![Change {
                verb: Verb::Add,
                object: rule(priority),
                why: String::new(),
            }],
        }
    }

    fn rule(priority: u32) -> Object {
        Object::Rule(Rule::new(Family::Inet, priority, 201, Action::Lookup(7)))
    }
}
