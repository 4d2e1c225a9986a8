//! Rulesets in, configurations out; each configuration is read again.

mod evaluator;
mod garbage;
mod iptables;
mod meaning;
mod nft;
mod order;
mod rest;
mod routes;

use std::path::Path;

use super::{Format, Given, Imported, Kind, text};
use crate::config::{Config, External, Forward, Ports, Snat};

/// What came of a text, and the configuration as its reader understands it.
struct Read {
    imported: Imported,
    config: Config,
}

impl Read {
    /// Notes of a kind, as one text.
    fn notes(&self, kind: Kind) -> String {
        notes(&self.imported, kind)
    }

    /// Entries as `source > external [ports]`.
    fn entries(&self) -> Vec<String> {
        self.config.snat.iter().map(shown).collect()
    }

    fn bypass(&self) -> Vec<String> {
        let all = self
            .config
            .bypass
            .iter()
            .flat_map(|bypass| &bypass.destination);
        all.map(ToString::to_string).collect()
    }

    fn forwards(&self) -> Vec<String> {
        let one = |one: &Forward| format!("{:?} {} > {}", one.protocol, one.external, one.internal);
        self.config.forward.iter().map(one).collect()
    }

    /// Fails unless all of it was translated, with nothing to say.
    fn whole(self) -> Self {
        let notes: Vec<_> = self
            .imported
            .notes
            .iter()
            .filter(|note| note.kind < Kind::Kept)
            .collect();
        assert!(notes.is_empty(), "{notes:#?}");
        self
    }
}

/// Imports what has something for a gateway in it.
fn read(rules: &str) -> Read {
    let imported = import(rules);
    let text = imported
        .config
        .as_deref()
        .unwrap_or_else(|| panic!("no configuration: {imported:#?}"));
    let config = Config::parse(text, Path::new("snat.toml"));
    let config = config.unwrap_or_else(|error| panic!("{error}\n{text}"));
    Read { imported, config }
}

fn import(rules: &str) -> Imported {
    let imported = text(rules, Format::Auto, &Given::default()).unwrap();
    accounts(&imported);
    imported
}

/// Rules in are rules translated and rules named.
fn accounts(imported: &Imported) {
    let named: usize = imported.notes.iter().map(|note| note.rules).sum();
    assert_eq!(imported.rules, imported.translated + named, "{imported:#?}");
}

fn notes(imported: &Imported, kind: Kind) -> String {
    let notes = imported.notes.iter().filter(|note| note.kind == kind);
    notes.map(|note| format!("{note}\n")).collect()
}

fn shown(snat: &Snat) -> String {
    let sources: Vec<_> = snat.source.iter().map(ToString::to_string).collect();
    let externals = snat.external.iter().map(|external| match external {
        External::Auto => "auto".to_owned(),
        External::Addr(addr) => addr.to_string(),
    });
    let externals: Vec<_> = externals.collect();
    let ports = match &snat.ports {
        Ports::Auto => String::new(),
        Ports::Ranges(ranges) => format!(" {ranges:?}"),
    };
    format!("{} > {}{ports}", sources.join(" "), externals.join(" "))
}

/// Rules of POSTROUTING, one a line, as `iptables-save` would have them.
fn post(rules: &str) -> String {
    nat("POSTROUTING", rules)
}

/// Rules of PREROUTING, beside a masquerade of 10.0.0.0/8 by eth0.
fn pre(rules: &str) -> String {
    nat("PREROUTING", rules).replace(
        "COMMIT",
        "-A POSTROUTING -s 10.0.0.0/8 -o eth0 -j MASQUERADE\nCOMMIT",
    )
}

fn nat(chain: &str, rules: &str) -> String {
    let rules = rules
        .lines()
        .map(|rule| format!("-A {chain} {}\n", rule.trim()));
    let chains = ":PREROUTING ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n";
    format!("*nat\n{chains}{}COMMIT\n", rules.collect::<String>())
}

/// The same for nft: rules of a chain of either hook.
fn nft_table(post: &str, pre: &str) -> String {
    format!(
        "table ip mine {{\n\tchain out {{\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n{post}\n\t}}\n\
         \tchain in {{\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n{pre}\n\t}}\n}}\n"
    )
}
