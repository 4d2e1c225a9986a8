//! What `explain` says is what happens: to packets of every kind, each explained and then really sent.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{
    cases::{Generator, leaves_as},
    ground::{Ground, Heard, MTU, NARROW},
    packets::{Case, Side},
    world::CONFIG,
};

const CASES: u32 = 300;
/// Every one of these is to happen at least once.
const VERDICTS: [&str; 24] = [
    "bypass",
    "filtered",
    "hairpin",
    "icmp_type",
    "leak_stopped",
    "martian",
    "multicast",
    "not_forwarded",
    "not_ours",
    "not_seen",
    "ports_exhausted",
    "protocol_taken",
    "split",
    "spoofed_source",
    "stray_in",
    "tcp_no_flow",
    "too_big",
    "too_big_to_stack",
    "translated_in",
    "translated_out",
    "ttl_expired",
    "ttl_to_stack",
    "unknown_protocol",
    "unsolicited",
];

#[test]
fn what_is_explained_is_what_happens_tc() -> Result<()> {
    agrees("tc", 1)
}

#[test]
fn what_is_explained_is_what_happens_xdp() -> Result<()> {
    agrees("xdp", 2)
}

fn agrees(datapath: &str, seed: u64) -> Result<()> {
    let ground = Ground::start(datapath, CONFIG)?;
    let mut generator = Generator::new(seed);
    let mut trial = Trial::new(&ground);
    for _ in 0..CASES {
        let case = generator.next();
        let explanation = trial.explain_and_send(&case)?;
        generator.note(&case, &explanation);
    }
    for case in generator.late() {
        trial.explain_and_send(&case)?;
    }
    let explained = trial
        .finish()
        .with_context(|| format!("{datapath}, seed {seed}"))?;
    expect_all_kinds(&explained)
}

/// Explains packets, sends them, and compares.
pub(crate) struct Trial<'a> {
    ground: &'a Ground,
    explained: Vec<(Case, Value)>,
    wrong: Vec<String>,
}

impl<'a> Trial<'a> {
    pub(crate) fn new(ground: &'a Ground) -> Self {
        Self {
            ground,
            explained: Vec::new(),
            wrong: Vec::new(),
        }
    }

    /// What was said of a packet, which was sent then.
    pub(crate) fn explain_and_send(&mut self, case: &Case) -> Result<Value> {
        let explanation = self.ground.explain(case)?;
        let before = self.ground.counted()?;
        let number = u32::try_from(self.explained.len())?;
        self.ground.send(case, number)?;
        let counters = counters(case, &explanation);
        if let Err(error) = self.ground.expect_counted(&before, &counters) {
            self.complain(&format!("{error:#}"), case, &explanation);
        }
        self.explained.push((*case, explanation.clone()));
        Ok(explanation)
    }

    /// Compares with what was heard. All packets with what was said of each.
    pub(crate) fn finish(mut self) -> Result<Vec<(Case, Value)>> {
        let heard = self.ground.heard()?;
        let explained = std::mem::take(&mut self.explained);
        for (number, (case, explanation)) in (0..).zip(&explained) {
            let expected = self.expected(case, explanation);
            let heard = heard.get(&number).cloned().unwrap_or_default();
            if heard != expected {
                let what = format!("it was heard as {heard:?}, not as {expected:?}");
                self.complain(&what, case, explanation);
            }
        }
        let (count, all) = (self.wrong.len(), explained.len());
        self.wrong.truncate(3);
        ensure!(
            self.wrong.is_empty(),
            "{count} of {all} went otherwise:\n{}",
            self.wrong.join("\n\n")
        );
        Ok(explained)
    }

    /// Where it is to be heard, and as what.
    fn expected(&self, case: &Case, explanation: &Value) -> Vec<Heard> {
        // Nobody is at that next hop: the kernel asks in vain.
        if case.dst.ip().octets()[..2] == [198, 18] {
            return Vec::new();
        }
        let ends = match explanation["stack"].as_str() {
            Some("forwards") => Some((case.src, case.dst)),
            _ => leaves_as(explanation),
        };
        let egress = explanation["egress"].as_str();
        let side = egress.and_then(|egress| self.ground.side_of(egress));
        side.zip(ends)
            .map(|(side, (src, dst))| (side, src, dst))
            .into_iter()
            .collect()
    }

    fn complain(&mut self, what: &str, case: &Case, explanation: &Value) {
        self.wrong
            .push(format!("{what}\n{case:?}\n{explanation:#}"));
    }
}

/// The counters that a packet is to move.
fn counters(case: &Case, explanation: &Value) -> BTreeMap<String, u64> {
    let mut counters = BTreeMap::new();
    let verdicts = explanation["verdicts"].as_array().into_iter().flatten();
    for verdict in verdicts.filter_map(Value::as_str) {
        *counters.entry(verdict.to_owned()).or_default() += 1;
    }
    if explanation["verdict"] == "split" {
        // Each piece comes in again.
        let (verdict, mtu) = match case.side {
            Side::Inside if explanation["egress"] == "eth0" => ("translated_out", MTU),
            _ => ("translated_in", NARROW.1),
        };
        let room = (mtu - 20) & !7;
        let pieces = (case.len() - 20).div_ceil(room);
        counters.insert(verdict.to_owned(), pieces.into());
    }
    counters
}

/// The cases are worth something only if they meet everything.
fn expect_all_kinds(explained: &[(Case, Value)]) -> Result<()> {
    let verdicts: BTreeSet<_> = explained
        .iter()
        .filter_map(|(_, explanation)| explanation["verdict"].as_str())
        .chain(explained.iter().flat_map(|(_, explanation)| {
            let verdicts = explanation["verdicts"].as_array();
            verdicts.into_iter().flatten().filter_map(Value::as_str)
        }))
        .collect();
    let missing: Vec<_> = VERDICTS
        .iter()
        .filter(|verdict| !verdicts.contains(*verdict))
        .collect();
    ensure!(missing.is_empty(), "no case ended as {missing:?}");
    for words in [
        "has expired",
        "is forwarded to",
        "is shared with",
        "a socket of this host",
    ] {
        let said = explained
            .iter()
            .filter(|(_, explanation)| explanation["decisions"].to_string().contains(words));
        ensure!(said.count() > 0, "no case rests on {words:?}");
    }
    Ok(())
}
