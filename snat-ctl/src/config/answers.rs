//! Sections `[answers]` and `[protocols]`: what the gateway itself says, and what it takes.

use snat_common::settings::{protocols, resets};

use super::{
    Answers, Refusal, model::DEFAULT_PROTOCOLS, report::Report, section::Section,
    sections::distinct, values,
};

const RESETS: [(&str, &str); 2] = [("clients", "clients"), ("servers", "servers")];

pub(super) fn answers(root: &Section<'_>, report: &mut Report<'_>) -> Answers {
    let mut answers = Answers::default();
    let Some(section) = root
        .get("answers", report)
        .and_then(|field| field.section(&["refused", "reset"], "section [answers]", report))
    else {
        return answers;
    };
    let refusals = [
        ("admin-prohibited", Refusal::AdminProhibited),
        ("host-unreachable", Refusal::HostUnreachable),
        ("none", Refusal::Silence),
    ];
    let refused = section.optional("refused", |value| values::choice(value, &refusals), report);
    answers.refused = refused.unwrap_or(answers.refused);
    if let Some(field) = section.get("reset", report) {
        let accepted = "\"clients\", \"servers\"";
        let listed = field.elements(accepted, |value| values::choice(value, &RESETS), report);
        answers.reset = distinct(listed, report)
            .iter()
            .fold(0, |set, word| match *word {
                "clients" => set | resets::CLIENTS,
                _ => set | resets::SERVERS,
            });
    }
    answers
}

pub(super) fn protocols(root: &Section<'_>, report: &mut Report<'_>) -> u8 {
    let known = [
        ("udp_lite", "translate", protocols::UDP_LITE),
        ("sctp", "address-only", protocols::SCTP),
        ("gre", "address-only", protocols::GRE),
        ("esp", "address-only", protocols::ESP),
        ("others", "address-only", protocols::OTHERS),
    ];
    let names = known.map(|(name, ..)| name);
    let mut set = DEFAULT_PROTOCOLS;
    let Some(section) = root
        .get("protocols", report)
        .and_then(|field| field.section(&names, "section [protocols]", report))
    else {
        return set;
    };
    for (name, word, bit) in known {
        let choices = [(word, true), ("drop", false)];
        match section.optional(name, |value| values::choice(value, &choices), report) {
            Some(true) => set |= bit,
            Some(false) => set &= !bit,
            None => {}
        }
    }
    set
}
