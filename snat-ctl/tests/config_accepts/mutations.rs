//! Whatever is written, nothing panics.

use std::path::Path;

use proptest::prelude::*;
use snat_ctl::config::File;

use super::CONTRACT;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_files_are_accepted_or_refused_but_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..24_usize, ".{1,6}"), 1..6)
    ) {
        let mut text: Vec<char> = CONTRACT.chars().collect();
        for (from, length, new) in edits {
            let from = from.index(text.len());
            let to = text.len().min(from + length);
            text.splice(from..to, new.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(error) = File::parse(&text, Path::new("t.toml")) {
            prop_assert!(error.to_string().starts_with("t.toml:"), "{error}");
        }
    }

    #[test]
    fn exchanged_values_are_accepted_or_refused_but_never_panic(
        keys in prop::collection::vec((key(), value()), 0..12)
    ) {
        let text: String = keys.iter().map(|(key, value)| format!("{key}{value}\n")).collect();
        if let Err(error) = File::parse(&text, Path::new("t.toml")) {
            prop_assert!(error.to_string().starts_with("t.toml:"), "{error}");
        }
    }
}

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "[gateway]\ninterfaces=",
        "name=",
        "[[snat]]\nsource=",
        "external=",
        "ports=",
        "mapping=",
        "[[bypass]]\ndestination=",
        "[timeouts]\nudp=",
        "[limits]\nflows_per_source=",
        "[metrics]\nlisten=",
        "[[eni]]\nmatch=",
        "table=",
        "[[eni]]\nmatch={mac='02:00:00:00:00:01'}\ngateway=",
        "gateway6=",
        "default_metric=",
        "prefixes=",
        "mark=",
        "weight=",
        "[routing]\nmark_mask=",
        "bypass=",
        "priority=",
        "[[rule]]\nlookup=",
        "action=",
        "source=",
        "interface=",
        "source_ports=",
        "[[forward]]\nexternal=",
        "internal=",
        "protocol=",
        "mss_clamp=",
        "filtering=",
        "port_rest=",
        "[limits]\nanswers_per_second=",
        "[answers]\nreset=",
        "refused=",
        "[protocols]\ngre=",
    ])
}

fn value() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "''",
        "'auto'",
        "['eth0']",
        "[]",
        "[[]]",
        "{}",
        "0",
        "-1",
        "99999999999999999999",
        "0x10",
        "1.5",
        "nan",
        "true",
        "1979-05-27",
        "'0.0.0.0/0'",
        "['10.0.0.0/33']",
        "['10.0.0.1-9.9.9.9']",
        "['0.0.0.0-255.255.255.255']",
        "'-'",
        "','",
        "'1-2-3'",
        "[1, 'x', {}]",
        "'9'",
        "'999y'",
        "'5m'",
        "{ name = 'eth1' }",
        "{ mac = '02:00:00:00:00:0g' }",
        "'9.9.9.9:9'",
        "'none'",
        "'ff02::1'",
        "['2001:db8::/32', '10.0.0.0/8']",
        "0xffffffff",
        "'0x1/0xff'",
        "'/'",
        "'main'",
        "'tcp'",
        "['clients', 'clients']",
        "'\u{20ac}'",
    ])
}
