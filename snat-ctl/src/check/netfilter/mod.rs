//! Others' rules of netfilter, and what they do together with ours.
//!
//! What the gateway translates passes netfilter by: XDP and TC ingress come before its first hook but one, and what
//! they send comes by none of the later ones but `netdev egress`. What the gateway leaves to the kernel takes the
//! usual way.

mod legacy;
pub(crate) mod owners;
mod ruleset;

use std::{collections::BTreeSet, fs};

use self::ruleset::{Ruleset, Translation};
use super::Finding;
use crate::config::Config;

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut translations = legacy::translations(&mut findings);
    match ruleset::read() {
        Ok(ruleset) => {
            findings.extend(policy_drop(&ruleset));
            findings.extend(flowtables(&ruleset, &config.gateway.interfaces));
            translations.extend(ruleset.translations);
        }
        Err(reason) => findings.push(unread(&reason)),
    }
    let looked = findings.iter().all(|finding| finding.id != UNREAD);
    if looked && translations.is_empty() {
        findings.push(Finding::ok("netfilter.nat", "no NAT rules of others"));
    }
    let sources = translations.iter().any(Translation::of_sources);
    findings.extend(translations.iter().map(other_nat));
    findings.extend(connections().filter(|_| sources).map(live));
    findings
}

/// Whether the kernel has rules of its own that translate sources.
///
/// # Errors
///
/// Why that cannot be told.
pub(crate) fn translates_sources() -> Result<bool, String> {
    let mut findings = Vec::new();
    let mut translations = legacy::translations(&mut findings);
    let read = ruleset::read().map(|ruleset| translations.extend(ruleset.translations));
    let found = translations.iter().any(Translation::of_sources);
    match (read, findings.pop()) {
        _ if found => Ok(true),
        (Err(reason), _) => Err(reason),
        (_, Some(unread)) => Err(unread.what),
        _ => Ok(false),
    }
}

const UNREAD: &str = "netfilter.unread";

/// What could not be looked at is not taken for empty.
fn unread(reason: &str) -> Finding {
    Finding::info(
        UNREAD,
        format!("others' NAT and filter rules were not looked at: {reason}"),
        "rules that translate or drop what the gateway leaves to the kernel would go unseen",
        "run as root with nft installed (package nftables); or look yourself: nft list ruleset",
    )
}

fn other_nat(translation: &Translation) -> Finding {
    let Translation {
        table,
        owners,
        kinds,
        rules,
    } = translation;
    let kinds: Vec<_> = kinds.iter().copied().collect();
    let what = format!(
        "table {table}{} has NAT rules: {rules} ({})",
        by(owners),
        kinds.join(", ")
    );
    let why = if translation.of_sources() {
        "clients' packets that the gateway translates never come there. What it leaves to the kernel does: \
         bypassed packets leave with another source after all, and replies to what these rules translate are \
         dropped where they come to a port that the gateway hands out"
    } else {
        "clients' packets that the gateway translates never come there, and from outside only what comes to a \
         port that the gateway does not hand out"
    };
    let fix = if translation.of_sources() {
        "remove the rules that were for these clients, or keep them off what is bypassed (ip daddr != ...); the \
         others' ports: masquerade to :32768-60999"
    } else {
        "write what is meant for clients as [[forward]]"
    };
    Finding::warn("netfilter.nat", what, why, fix).about(table)
}

fn policy_drop(ruleset: &Ruleset) -> impl Iterator<Item = Finding> + '_ {
    ruleset.closed.iter().map(|chain| {
        Finding::warn(
            "netfilter.forward",
            format!("chain {}{} drops what it does not know (policy drop)", chain.name, by(&chain.owners)),
            "what the gateway translates never comes there; what it leaves to the kernel to forward (bypassed \
             prefixes) does, and is dropped unless a rule accepts it",
            "if [[bypass]] prefixes are to be forwarded: a rule that accepts them there",
        )
        .about(&chain.name)
    })
}

/// They hook behind TC ingress, too; only in hardware they come first.
fn flowtables<'a>(
    ruleset: &'a Ruleset,
    interfaces: &'a [String],
) -> impl Iterator<Item = Finding> + 'a {
    let ours = |devices: &Vec<String>| devices.iter().any(|dev| interfaces.contains(dev));
    let flowtables = ruleset
        .flowtables
        .iter()
        .filter(move |table| ours(&table.devices));
    flowtables.map(|table| {
        let (name, devices) = (&table.name, table.devices.join(", "));
        let what = format!("flowtable {name} is on {devices}");
        let fix = "take the interface out of the flowtable, or at least its flag `offload`";
        let finding = if table.offload {
            let why = "in hardware it forwards packets of connections that it knows before the gateway sees them";
            Finding::warn("netfilter.flowtable", what, why, fix)
        } else {
            let why = "it comes behind the gateway, and has only what the gateway leaves to the kernel";
            Finding::info("netfilter.flowtable", what, why, fix)
        };
        finding.about(name)
    })
}

/// How many connections the kernel follows here; none if that is none.
fn connections() -> std::option::IntoIter<u64> {
    let count = fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count").ok();
    let count = count.and_then(|text| text.trim().parse().ok());
    count.filter(|count| *count > 0).into_iter()
}

fn live(count: u64) -> Finding {
    Finding::info(
        "netfilter.conntrack",
        format!(
            "the kernel follows {count} connections here, some of them perhaps translated by its NAT rules"
        ),
        "the gateway does not know them: clients' TCP connections among them are reset when `run` starts it",
        "start it with `snat-ctl adopt`, which takes them over; `snat-ctl adopt --plan` says which",
    )
}

fn by(owners: &BTreeSet<&'static str>) -> String {
    if owners.is_empty() {
        return String::new();
    }
    let owners: Vec<_> = owners.iter().copied().collect();
    format!(" (of {})", owners.join(", "))
}
