//! What nf_tables has, by `nft -j`: iptables rules too, unless they are of the legacy kind.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::owners::{of_chain, of_table};
use crate::tool::run;

/// What matters here of the whole ruleset. IPv4 only.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ruleset {
    pub(super) translations: Vec<Translation>,
    /// Base chains of the forward hook whose policy is to drop.
    pub(super) closed: Vec<Chain>,
    pub(super) flowtables: Vec<Flowtable>,
}

/// A table with NAT rules.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Translation {
    /// Family and name, as `ip nat`.
    pub(super) table: String,
    pub(super) owners: BTreeSet<&'static str>,
    /// `masquerade`, `snat`, `dnat`, `redirect`.
    pub(super) kinds: BTreeSet<&'static str>,
    pub(super) rules: usize,
}

impl Translation {
    /// Whether it changes sources.
    pub(super) fn of_sources(&self) -> bool {
        self.kinds.contains("masquerade") || self.kinds.contains("snat")
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chain {
    /// Family, table and chain.
    pub(super) name: String,
    pub(super) owners: BTreeSet<&'static str>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flowtable {
    pub(super) name: String,
    pub(super) devices: Vec<String>,
    pub(super) offload: bool,
}

const KINDS: [&str; 4] = ["masquerade", "snat", "dnat", "redirect"];

/// Asks `nft`; an error says why that told nothing.
pub(super) fn read() -> Result<Ruleset, String> {
    let output = run("nft", &["-j", "list", "ruleset"])?;
    let json: Value = serde_json::from_str(&output)
        .map_err(|error| format!("nft -j printed no JSON: {error}"))?;
    Ok(understand(&json))
}

fn understand(json: &Value) -> Ruleset {
    let objects = json["nftables"].as_array().map(Vec::as_slice);
    let objects = objects.unwrap_or_default();
    let of = |kind: &'static str| {
        let all = objects.iter().filter_map(move |object| object.get(kind));
        all.filter(|object| matches!(text(object, "family"), "ip" | "inet"))
    };
    let mut owners: BTreeMap<String, BTreeSet<&'static str>> = BTreeMap::new();
    for chain in of("chain") {
        let found = of_table(text(chain, "table")).or_else(|| of_chain(text(chain, "name")));
        owners.entry(table(chain)).or_default().extend(found);
    }
    let owners_of = |table: &str| owners.get(table).cloned().unwrap_or_default();
    let mut translations: BTreeMap<String, (BTreeSet<&'static str>, usize)> = BTreeMap::new();
    for rule in of("rule") {
        if let Some(kind) = kind(rule) {
            let (kinds, rules) = translations.entry(table(rule)).or_default();
            kinds.insert(kind);
            *rules += 1;
        }
    }
    let closed = of("chain")
        .filter(|chain| text(chain, "hook") == "forward" && text(chain, "policy") == "drop");
    Ruleset {
        translations: translations
            .into_iter()
            .map(|(table, (kinds, rules))| Translation {
                owners: owners_of(&table),
                table,
                kinds,
                rules,
            })
            .collect(),
        closed: closed
            .map(|chain| Chain {
                name: format!("{} {}", table(chain), text(chain, "name")),
                owners: owners_of(&table(chain)),
            })
            .collect(),
        flowtables: of("flowtable").map(flowtable).collect(),
    }
}

/// What the rule does to addresses, if anything: a statement of nft's own, or a target of iptables'.
fn kind(rule: &Value) -> Option<&'static str> {
    let statements = rule["expr"].as_array()?;
    statements.iter().find_map(|statement| {
        let own = KINDS.iter().find(|kind| statement.get(**kind).is_some());
        let target = text(&statement["xt"], "name").to_ascii_lowercase();
        let target = KINDS.iter().find(|kind| **kind == target);
        own.or(target).copied()
    })
}

fn flowtable(flowtable: &Value) -> Flowtable {
    // One device is a word, several are a list.
    let devices = match &flowtable["dev"] {
        Value::String(dev) => vec![dev.clone()],
        list => strings(list),
    };
    let flags = match &flowtable["flags"] {
        Value::String(flag) => vec![flag.clone()],
        list => strings(list),
    };
    Flowtable {
        name: format!("{} {}", table(flowtable), text(flowtable, "name")),
        devices,
        offload: flags.iter().any(|flag| flag == "offload"),
    }
}

fn strings(list: &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn table(object: &Value) -> String {
    // `flowtable` too has its table's name there.
    format!("{} {}", text(object, "family"), text(object, "table"))
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests;
