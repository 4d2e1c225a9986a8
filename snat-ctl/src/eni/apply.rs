//! Carries a plan out: all of it, or nothing.

use super::{Change, Object, Plan, Verb};
use crate::netlink::{self, Link, NetlinkError};

/// A step that the kernel refused; what had been done before it has been taken back.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} the {object}: {source}; {}", undone(.left))]
pub struct ApplyError {
    verb: &'static str,
    object: Box<Object>,
    source: NetlinkError,
    /// What could not be taken back.
    left: Vec<String>,
}

fn undone(left: &[String]) -> String {
    if left.is_empty() {
        "what had been done before is taken back".to_owned()
    } else {
        format!(
            "this could not be taken back: {}; `snat-ctl eni remove` removes all that is ours",
            left.join(", ")
        )
    }
}

impl Plan {
    /// Carries it out.
    ///
    /// # Errors
    ///
    /// [`ApplyError`]: the first step that failed.
    pub fn carry_out(&self, links: &[Link]) -> Result<(), ApplyError> {
        for (done, change) in self.changes.iter().enumerate() {
            let Err(source) = change.carry_out(links) else {
                continue;
            };
            let back = self.changes[..done].iter().rev();
            let left = back
                .map(Change::reversed)
                .filter_map(|change| change.carry_out(links).err().map(|_| change.to_string()))
                .collect();
            return Err(ApplyError {
                verb: match change.verb {
                    Verb::Add => "add",
                    Verb::Remove => "remove",
                },
                object: Box::new(change.object.clone()),
                source,
                left,
            });
        }
        Ok(())
    }

    /// Carries out what can be: what is in the way of one step keeps no other from being done. Only what was done
    /// stays in the plan.
    pub(super) fn carry_out_each(&mut self, links: &[Link]) -> Vec<NetlinkError> {
        let mut failed = Vec::new();
        self.changes.retain(|change| match change.carry_out(links) {
            Ok(()) => true,
            Err(error) => {
                failed.push(error);
                false
            }
        });
        failed
    }
}

impl Change {
    /// Does this one thing; what has gone already needs no removal.
    ///
    /// # Errors
    ///
    /// What the kernel said.
    pub fn carry_out(&self, links: &[Link]) -> Result<(), NetlinkError> {
        let done = match (self.verb, &self.object) {
            (Verb::Add, Object::Rule(rule)) => return netlink::add_rule(rule),
            (Verb::Add, Object::Route(route)) => return netlink::add_route(route, links),
            (Verb::Remove, Object::Rule(rule)) => netlink::delete_rule(rule),
            (Verb::Remove, Object::Route(route)) => netlink::delete_route(route, links),
        };
        done.or_else(|error| if error.is_gone() { Ok(()) } else { Err(error) })
    }
}
