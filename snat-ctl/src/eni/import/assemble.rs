//! ENIs and access rules out of rules and routes.

mod routes;
mod rules;

use std::collections::BTreeMap;

use super::{Found, Imported, Interface, Note};
use crate::{
    config::{Eni, Match, NextHop},
    eni::{Family, PROTOCOL},
};

/// Finds the interface of each table, then what goes with it.
pub(super) fn assemble(mut found: Found, interfaces: &[Interface]) -> Imported {
    let ours = |protocol: u8| protocol == PROTOCOL;
    let before = found.rules.len() + found.routes.len();
    found.rules.retain(|rule| !ours(rule.what.protocol));
    found.routes.retain(|route| !ours(route.what.protocol));
    let left = before - found.rules.len() - found.routes.len();

    let mut work = Work {
        interfaces,
        tables: BTreeMap::new(),
        imported: Imported::default(),
    };
    work.imported.notes = found.notes;
    if left != 0 {
        work.imported.notes.push(Note {
            line: None,
            what: format!("protocol {PROTOCOL}"),
            why: format!("{left} rules and routes are snat-ctl's own and not imported"),
        });
    }
    work.routes(&found.routes);
    work.rules(found.rules);
    work.imported.notes.sort_by_key(|note| note.line);
    work.imported
}

struct Work<'a> {
    interfaces: &'a [Interface],
    /// The interface by which a table leads, if it is one.
    tables: BTreeMap<u32, String>,
    imported: Imported,
}

impl Work<'_> {
    fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces
            .iter()
            .find(|interface| interface.name == name)
    }

    /// The entry of an interface, made if it is not there.
    fn eni(&mut self, name: &str) -> &mut Eni {
        let matcher = Match::Name(name.to_owned());
        let enis = &mut self.imported.enis;
        let index = enis.iter().position(|eni| eni.matcher == matcher);
        let index = index.unwrap_or_else(|| {
            enis.push(Eni {
                matcher,
                table: None,
                gateway: NextHop::Auto,
                gateway6: NextHop::Auto,
                default_metric: None,
                prefixes: Vec::new(),
                mark: None,
                weight: None,
                line: 0,
            });
            enis.len() - 1
        });
        &mut enis[index]
    }
}

fn gateway(eni: &mut Eni, family: Family) -> &mut NextHop {
    match family {
        Family::Inet => &mut eni.gateway,
        Family::Inet6 => &mut eni.gateway6,
    }
}
