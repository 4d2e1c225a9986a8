//! The rules that the kernel has now, by the programs that know how to list them.

use super::{ImportError, iptables, ledger::Kind, model::Ruleset, nft};
use crate::tool::{legacy_tables, run};

/// Tables of iptables, whose chains `nft` shows without their targets' options.
const TABLES: [&str; 5] = ["nat", "mangle", "filter", "raw", "security"];
const BUILT_IN: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

/// Rules, and what could not be looked at.
pub(super) type Found = (Ruleset, Vec<(Kind, String)>);

/// Asks all of them.
///
/// # Errors
///
/// [`ImportError::Nothing`] if none could be asked.
pub(super) fn read() -> Result<Found, ImportError> {
    let (mut ruleset, mut unread) = (Ruleset::default(), Vec::new());
    let listed = run("nft", &["-j", "list", "ruleset"]).and_then(|text| nft::json::read(&text));
    let asked = listed.is_ok();
    match listed {
        Ok(listed) => ruleset.append(by_iptables(listed)),
        Err(reason) => unread.push((Kind::LeftOut, format!("rules of nftables: {reason}"))),
    }
    let mut asked_legacy = false;
    for (names, program) in [
        ("ip_tables_names", "iptables-legacy-save"),
        ("ip6_tables_names", "ip6tables-legacy-save"),
    ] {
        if legacy_tables(names).is_empty() {
            continue;
        }
        match run(program, &[]) {
            Ok(text) => {
                ruleset.append(iptables::read(&text, program));
                asked_legacy = true;
            }
            Err(reason) => {
                unread.push((Kind::LeftOut, format!("rules of the legacy kind: {reason}")));
            }
        }
    }
    if asked || asked_legacy {
        Ok((ruleset, unread))
    } else {
        let reasons: Vec<_> = unread.into_iter().map(|(_, reason)| reason).collect();
        Err(ImportError::Nothing(reasons.join("; ")))
    }
}

/// Puts what `iptables-nft-save` says in the place of its tables.
fn by_iptables(mut listed: Ruleset) -> Ruleset {
    let ours = |table: &str| {
        TABLES
            .iter()
            .any(|known| table.strip_prefix("ip ") == Some(known))
    };
    let made = |chain: &&super::model::Chain| {
        ours(&chain.table) && BUILT_IN.contains(&chain.name.as_str())
    };
    if listed.chains.iter().find(made).is_none() {
        return listed;
    }
    let Ok(text) = run("iptables-nft-save", &[]) else {
        return listed;
    };
    let saved = iptables::read(&text, "iptables-nft-save");
    // Where others have put rules of nft's own into such a table, the program says nothing of it.
    let there = |table: &str| {
        let name = table.strip_prefix("ip ").unwrap_or_default();
        ours(table)
            && text
                .lines()
                .any(|line| line.strip_prefix('*') == Some(name))
    };
    listed.chains.retain(|chain| !there(&chain.table));
    listed.append(saved);
    listed
}
