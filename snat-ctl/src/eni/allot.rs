//! Tables for interfaces that were given none: each gets one once, and it stays that of its MAC.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::Context as _;

use super::{
    Action, Host,
    names::table_names,
    resolve::{identity, is_meant},
};
use crate::{config::Routing, netlink::Link, state_file};

/// Outlives a reboot.
const MEMORY: &str = "/var/lib/snat/tables.json";
/// Tables that are given out. Below 20000 there are cloud-init, terway, EC2's tools; from 30200 on nm-cloud-setup.
const TABLES: std::ops::RangeInclusive<u32> = 20_001..=20_999;

/// Table of each MAC (or name, of an interface without one).
pub type Tables = BTreeMap<String, u32>;

/// What is remembered.
///
/// # Errors
///
/// When the file is there and can't be read: forgetting would move every interface to another table.
pub fn remembered() -> anyhow::Result<Tables> {
    Ok(state_file::read(Path::new(MEMORY))?.unwrap_or_default())
}

/// The remembered tables, and new ones for interfaces that are there and have none.
///
/// # Errors
///
/// As [`remembered`]; or no table is left.
pub fn allot(routing: &Routing, host: &Host) -> anyhow::Result<Tables> {
    let mut tables = remembered()?;
    let wanting: Vec<_> = wanting(routing, host)
        .filter(|link| !tables.contains_key(&identity(link)))
        .collect();
    // The daemon asks at every look, and the rest reads files.
    if wanting.is_empty() {
        return Ok(tables);
    }
    let mut taken: BTreeSet<u32> = tables.values().copied().collect();
    taken.extend(routing.enis.iter().filter_map(|eni| eni.table));
    taken.extend(host.routes.iter().map(|route| route.table));
    taken.extend(host.rules.iter().filter_map(|rule| match rule.action {
        Action::Lookup(table) => Some(table),
        _ => None,
    }));
    taken.extend(table_names().into_keys());
    for link in wanting {
        // Two `[[eni]]` may mean one link; that is refused later.
        if tables.contains_key(&identity(link)) {
            continue;
        }
        let free = TABLES.clone().find(|table| !taken.contains(table));
        let table = free.with_context(|| {
            format!(
                "no table from {} to {} is left for {}; give it one with `table`",
                TABLES.start(),
                TABLES.end(),
                link.name
            )
        })?;
        taken.insert(table);
        tables.insert(identity(link), table);
    }
    Ok(tables)
}

/// Links of the interfaces that were given no table.
fn wanting<'a>(routing: &'a Routing, host: &'a Host) -> impl Iterator<Item = &'a Link> {
    let enis = routing.enis.iter().filter(|eni| eni.table.is_none());
    enis.filter_map(|eni| host.links.iter().find(|link| is_meant(&eni.matcher, link)))
}

/// Writes them down, whole or not at all.
///
/// # Errors
///
/// The failing file operation.
pub fn remember(tables: &Tables) -> anyhow::Result<()> {
    if *tables == remembered()? {
        return Ok(());
    }
    state_file::write(Path::new(MEMORY), tables)
}
