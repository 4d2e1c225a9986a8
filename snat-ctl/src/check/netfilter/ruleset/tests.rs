use std::collections::BTreeSet;

use serde_json::json;

use super::{Chain, Flowtable, Ruleset, Translation, understand};

#[test]
fn nat_rules_are_counted_by_table_and_iptables_targets_among_them() {
    let json = json!({"nftables": [
        {"metainfo": {"json_schema_version": 1}},
        {"chain": {"family": "ip", "table": "nat", "name": "POSTROUTING", "type": "nat",
                   "hook": "postrouting", "policy": "accept"}},
        {"chain": {"family": "ip", "table": "nat", "name": "DOCKER"}},
        {"rule": {"family": "ip", "table": "nat", "chain": "POSTROUTING",
                  "expr": [{"counter": {}}, {"xt": {"type": "target", "name": "MASQUERADE"}}]}},
        {"rule": {"family": "ip", "table": "nat", "chain": "DOCKER",
                  "expr": [{"xt": {"type": "target", "name": "DNAT"}}]}},
        {"rule": {"family": "inet", "table": "mine", "chain": "out", "expr": [{"masquerade": null}]}},
        {"rule": {"family": "inet", "table": "mine", "chain": "out", "expr": [{"accept": null}]}},
        {"rule": {"family": "ip6", "table": "six", "chain": "out", "expr": [{"masquerade": null}]}},
    ]});
    let expected = [
        Translation {
            table: "inet mine".to_owned(),
            owners: BTreeSet::new(),
            kinds: BTreeSet::from(["masquerade"]),
            rules: 1,
        },
        Translation {
            table: "ip nat".to_owned(),
            owners: BTreeSet::from(["Docker"]),
            kinds: BTreeSet::from(["dnat", "masquerade"]),
            rules: 2,
        },
    ];
    assert_eq!(understand(&json).translations, expected);
}

#[test]
fn only_a_forward_chain_that_drops_by_policy_is_closed() {
    let chain = |hook, policy| {
        json!({"chain": {"family": "inet", "table": "firewalld", "name": hook, "type": "filter",
                         "hook": hook, "policy": policy}})
    };
    let json = json!({"nftables": [chain("input", "drop"), chain("forward", "accept")]});
    assert_eq!(understand(&json), Ruleset::default());
    let json = json!({"nftables": [chain("forward", "drop")]});
    let closed = Chain {
        name: "inet firewalld forward".to_owned(),
        owners: BTreeSet::from(["firewalld"]),
    };
    assert_eq!(understand(&json).closed, [closed]);
}

#[test]
fn flowtables_have_one_device_or_several() {
    let json = json!({"nftables": [
        {"flowtable": {"family": "inet", "name": "ft", "table": "f", "hook": "ingress", "dev": "eth0"}},
        {"flowtable": {"family": "ip", "name": "hw", "table": "f", "hook": "ingress",
                       "dev": ["eth0", "eth1"], "flags": "offload"}},
    ]});
    let flowtable = |name: &str, devices: &[&str], offload| Flowtable {
        name: name.to_owned(),
        devices: devices.iter().map(ToString::to_string).collect(),
        offload,
    };
    let expected = [
        flowtable("inet f ft", &["eth0"], false),
        flowtable("ip f hw", &["eth0", "eth1"], true),
    ];
    assert_eq!(understand(&json).flowtables, expected);
}
