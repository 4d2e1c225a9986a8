//! Policy routes: as they were meant to be.

use serde::Serialize;

use super::Problem;
use crate::eni::{Store, control::Prepared};

/// How the policy routes of the instance stand; its JSON form is part of the contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyRoutes {
    /// Rules of ours in the kernel.
    pub rules: usize,
    /// Routes of ours in the kernel.
    pub routes: usize,
    /// How many steps it would take to make them as they are meant to be.
    pub differences: usize,
    /// ENIs that are configured and not there.
    pub absent: Vec<String>,
}

/// Of this instance; `None` where it has none.
///
/// # Errors
///
/// When the kernel's tables or what was applied can't be read.
pub fn policy_routes(name: &str) -> anyhow::Result<Option<PolicyRoutes>> {
    let store = Store::open()?;
    let Some(applied) = store.applied()?.filter(|applied| applied.instance == name) else {
        return Ok(None);
    };
    let prepared = Prepared::new(applied.into(), &store, &[])?;
    Ok(Some(PolicyRoutes {
        rules: prepared.host.our_rules().count(),
        routes: prepared.host.our_routes().count(),
        differences: prepared.plan.changes.len(),
        absent: prepared.found.absent,
    }))
}

pub(super) fn problems(name: &str) -> Vec<Problem> {
    let routes = match policy_routes(name) {
        Ok(Some(routes)) => routes,
        Ok(None) => return Vec::new(),
        Err(error) => {
            let remedy = "snat-ctl eni status says more; put right what it names";
            let what = format!("cannot tell how the policy routes stand: {error:#}");
            return vec![Problem::degraded("eni.unknown", what, remedy)];
        }
    };
    let mut problems = Vec::new();
    if routes.differences > 0 {
        problems.push(Problem::degraded(
            "eni.differences",
            format!("policy routes differ from what was applied in {}", crate::eni::conflicts::count(routes.differences, "place")),
            "snat-ctl eni plan shows where, snat-ctl eni apply puts it right; the daemon does so by itself",
        ));
    }
    problems.extend(routes.absent.iter().map(|matcher| {
        Problem::degraded(
            "eni.absent",
            format!("no interface is {matcher}"),
            "attach the ENI, or correct `match` (see `ip link`)",
        )
        .about(matcher)
    }));
    problems
}
