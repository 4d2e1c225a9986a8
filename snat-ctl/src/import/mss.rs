//! Rules that clamp the MSS, as `mss_clamp`.

use std::collections::BTreeSet;

use super::{
    Given,
    draft::Draft,
    ledger::Ledger,
    matches::Matches,
    model::{Action, Ruleset},
    names::Names,
    others::{Where, hooks, rules},
    ranges::Ranges,
};
use crate::config::MssClamp;

/// The MSS that rules clamp to. Without one it is what the way takes.
pub(super) fn mss(ruleset: &Ruleset, draft: &mut Draft, given: &Given, ledger: &mut Ledger) {
    let hooks = hooks(ruleset);
    let named = given.interfaces.iter().chain(&draft.interfaces);
    let interfaces: BTreeSet<_> = named.cloned().collect();
    for (number, chain, rule) in rules(ruleset, ledger) {
        let own = hooks.get(&(chain.table.as_str(), chain.name.as_str()));
        let forwarded = own.is_some_and(|hooks| hooks.iter().any(|hook| *hook != Where::Own));
        let case = &rule.cases[0];
        let Action::Mss(mss) = case.action else {
            continue;
        };
        if !ledger.is_open(number) || !forwarded || case.matches.ipv6 || chain.ipv6 {
            continue;
        }
        if let Err((why, fix)) = fits(draft, mss, &case.matches, &interfaces) {
            ledger.left_out(number, why, fix);
            continue;
        }
        draft.mss.get_or_insert((mss, number));
        ledger.translated(number);
        if !for_all(&case.matches) {
            let why = "it is for some packets only; mss_clamp is for all that is translated";
            ledger.differs(number, why, "see whether that will do");
        }
    }
}

/// Whether `mss_clamp` can say it; else why not, and what to do.
fn fits(
    draft: &Draft,
    mss: MssClamp,
    matches: &Matches,
    interfaces: &BTreeSet<String>,
) -> Result<(), (String, &'static str)> {
    let gateways =
        |names: &Names| interfaces.is_empty() || interfaces.iter().any(|name| names.holds(name));
    if !matches.others.is_empty() {
        let asked = matches.others.join(", ");
        let why = format!("it asks for \"{asked}\"; mss_clamp is for all that is translated");
        Err((why, "set mss_clamp, if it will do for all"))
    } else if !gateways(&matches.output) || !gateways(&matches.input) {
        let why = "it is for an interface that is not the gateway's".to_owned();
        Err((
            why,
            "keep it: it goes on to work for what the kernel forwards",
        ))
    } else if draft.mss.is_some_and(|(known, _)| known != mss) {
        let why = "mss_clamp is one for all, and an earlier rule has set it".to_owned();
        Err((why, "mss_clamp = \"auto\" lowers it to what each way takes"))
    } else if matches!(mss, MssClamp::To(mss) if mss < 536) {
        Err(("mss_clamp takes 536 and more".to_owned(), "mss_clamp = 536"))
    } else {
        Ok(())
    }
}

fn for_all(matches: &Matches) -> bool {
    let everywhere = Ranges::everywhere();
    matches.source == everywhere && matches.destination == everywhere && matches.every_port()
}
