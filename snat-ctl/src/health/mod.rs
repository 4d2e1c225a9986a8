//! Whether an instance does what it should, and if not, what is wrong and what to do. Reads only, needs no daemon.
//!
//! One file per thing that can be wrong; each turns what it sees into [`Problem`]s.

mod configuration;
mod daemon;
mod drops;
mod hooks;
mod interfaces;
mod neighbours;
mod rates;
mod routes;
mod tables;

use serde::Serialize;

pub use self::{
    rates::{Rates, Sample},
    routes::{PolicyRoutes, policy_routes},
    tables::{Tables, tables},
};
use crate::{
    datapath::Pins,
    instance::Record,
    netlink::{self, Address, Link, NetlinkError},
};

/// Something that is wrong; its JSON form is part of the contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Stable name, such as `interface.down`.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about where there may be several: an interface, an address, a reason of drops.
    pub subject: Option<String>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; all is well.
    Notice,
    /// It works, and something is missing, or soon will be.
    Degraded,
    /// Clients' packets are lost, or nothing would stop what must not leave.
    Critical,
}

/// What there is to look at, besides what is pinned and attached.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// The instance.
    pub name: &'a str,
    /// Where it is pinned.
    pub pins: &'a Pins,
    /// Two looks at the counters; without them nothing is known of what is dropped now.
    pub rates: Option<&'a Rates>,
    /// How full the tables are: a walk through all of them; not looked at if missing.
    pub tables: Option<&'a Tables>,
}

/// Everything that is wrong now, the worst first.
#[must_use]
pub fn problems(look: &Look<'_>) -> Vec<Problem> {
    let mut problems = daemon::problems(look.name);
    problems.extend(of_the_host(look));
    problems.extend(look.tables.map(tables::problems).unwrap_or_default());
    problems.extend(look.rates.map(drops::problems).unwrap_or_default());
    problems.extend(configuration::problems(look.name));
    // Stable: of the same severity in the order above.
    problems.sort_by_key(|problem| std::cmp::Reverse(problem.severity));
    problems
}

/// What only the gateway's own network namespace shows.
fn of_the_host(look: &Look<'_>) -> Vec<Problem> {
    let host = match Host::read(look) {
        Ok(host) => host,
        Err(error) => {
            let remedy =
                "run snat-ctl on the gateway itself, outside of sandboxes that forbid rtnetlink";
            return vec![Problem::degraded("netlink", error.to_string(), remedy)];
        }
    };
    if host.record.as_ref().is_some_and(Record::is_elsewhere) {
        return vec![Problem::degraded(
            "netns.other",
            "the gateway runs in another network namespace: its interfaces, programs and routes can't be seen from here",
            "run snat-ctl there: ip netns lists those with a name; nsenter --net=/run/netns/NAME snat-ctl status",
        )];
    }
    let mut problems = interfaces::problems(look, &host);
    problems.extend(hooks::problems(look, &host));
    problems.extend(neighbours::problems(&host));
    problems.extend(routes::problems(look.name));
    problems
}

/// Whether any of these is more than a notice.
#[must_use]
pub fn is_degraded(problems: &[Problem]) -> bool {
    problems
        .iter()
        .any(|problem| problem.severity > Severity::Notice)
}

/// The gateway's machine, read once.
struct Host {
    record: Option<Record>,
    links: Vec<Link>,
    addresses: Vec<Address>,
}

impl Host {
    fn read(look: &Look<'_>) -> Result<Self, NetlinkError> {
        Ok(Self {
            record: Record::read(look.name),
            links: netlink::links()?,
            addresses: netlink::addresses()?,
        })
    }

    fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The links that the instance is to be attached to, as far as they are there.
    fn managed(&self) -> impl Iterator<Item = &Link> {
        let recorded = self.record.iter().flat_map(|record| &record.interfaces);
        recorded.filter_map(|interface| self.link(&interface.name))
    }
}

impl Problem {
    fn new(
        severity: Severity,
        id: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            id,
            severity,
            subject: None,
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    fn notice(id: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Severity::Notice, id, what, remedy)
    }

    fn degraded(id: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Severity::Degraded, id, what, remedy)
    }

    fn critical(id: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Severity::Critical, id, what, remedy)
    }

    fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }
}
