//! Whatever comes in, every rule of it is accounted for, nothing panics, and nothing takes for ever.

use proptest::prelude::*;

use super::{Format, Given, accounts, post, pre, text};

const FORMATS: [Format; 4] = [
    Format::Auto,
    Format::IptablesSave,
    Format::Nft,
    Format::NftJson,
];

fn survives(rules: &str) {
    for format in FORMATS {
        if let Ok(imported) = text(rules, format, &Given::default()) {
            accounts(&imported);
        }
    }
}

/// Real rules, of every kind that is read.
fn real() -> Vec<String> {
    let source = "-s 10.0.0.0/8 ! -d 10.0.0.0/8 -o eth0 -p tcp -m multiport --dports 80,443 -j SNAT --to-source 203.0.113.1-203.0.113.9:1-9";
    let destination = "-d 203.0.113.1 -p tcp --dport 1:9 -j DNAT --to-destination 10.0.0.1:1-9/1\n-j REDIRECT --to-ports 80";
    vec![
        include_str!("listed.nft").to_owned(),
        include_str!("listed.json").to_owned(),
        post(source),
        pre(destination),
    ]
}

#[test]
fn rules_cut_off_anywhere_are_no_harm() {
    for rules in real() {
        for cut in (0..rules.len()).step_by(31) {
            survives(&rules[..cut]);
            survives(&rules[cut..]);
        }
    }
}

#[test]
fn chains_that_call_each_other_end() {
    let chains: String = (0..20)
        .map(|number| format!("-A c{number} -j c{}\n", (number + 1) % 20).repeat(20))
        .collect();
    survives(&format!(
        "*nat\n-A POSTROUTING -j c0\n{chains}-A c7 -j MASQUERADE\nCOMMIT\n"
    ));
    survives("*nat\n-A POSTROUTING -j POSTROUTING\n-A POSTROUTING -g POSTROUTING\nCOMMIT\n");
}

proptest! {
    #[test]
    fn words_exchanged_are_no_harm(which in 0..4_usize, edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..12)) {
        let rules = real().swap_remove(which);
        let mut words: Vec<&str> = rules.split_inclusive([' ', '\n', ',', ':', '"']).collect();
        for (from, to) in edits {
            let (from, to) = (from.index(words.len()), to.index(words.len()));
            words[to] = words[from];
        }
        survives(&words.concat());
    }

    #[test]
    fn bytes_exchanged_are_no_harm(which in 0..4_usize, edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12)) {
        let mut rules = real().swap_remove(which).into_bytes();
        for (at, byte) in edits {
            let at = at.index(rules.len());
            rules[at] = byte;
        }
        survives(&String::from_utf8_lossy(&rules));
    }

    #[test]
    fn any_text_is_no_harm(rules in "\\PC*") {
        survives(&rules);
    }
}
