//! What two `[[eni]]` may not share; one line for each that do.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::Interface;
use crate::eni::Family;

/// No two of one link, nor of one table.
pub(super) fn links(interfaces: &[Interface]) -> Vec<String> {
    let mut problems = Vec::new();
    for (index, later) in interfaces.iter().enumerate() {
        if let Some(earlier) = interfaces[..index].iter().find(|i| i.index == later.index) {
            problems.push(format!(
                "{}: two [[eni]] mean it (lines {} and {}); keep one of them",
                later.name, earlier.eni.line, later.eni.line
            ));
        } else if let Some(earlier) = interfaces[..index].iter().find(|i| i.table == later.table) {
            problems.push(format!(
                "{} and {}: both would have table {}; give one of them another `table`",
                earlier.name, later.name, later.table
            ));
        }
    }
    problems
}

/// No two with one source: it leads to one interface.
pub(super) fn addresses(interfaces: &[Interface]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut owners: BTreeMap<IpNet, &str> = BTreeMap::new();
    for interface in interfaces {
        for family in Family::ALL {
            for source in interface.sources(family) {
                match owners.insert(source, &interface.name) {
                    Some(owner) if owner != interface.name => problems.push(format!(
                        "{owner} and {}: both have {source}; a source leads to one interface: take it off one of them",
                        interface.name
                    )),
                    _ => {}
                }
            }
        }
    }
    problems
}
