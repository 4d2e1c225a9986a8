//! Random rules, walked packet by packet: a configuration that is whole does the same to each.

use std::{net::Ipv4Addr, path::Path};

use proptest::prelude::*;

use super::import;
use crate::config::{Config, External};

const NETS: [&str; 4] = ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "172.16.0.0/12"];
const OUTPUTS: [&str; 2] = ["eth0", "eth1"];
const ACTIONS: [&str; 5] = [
    "MASQUERADE",
    "SNAT --to-source 203.0.113.11",
    "ACCEPT",
    "RETURN",
    "U",
];
const ENDS: [Ipv4Addr; 4] = [
    Ipv4Addr::new(10, 1, 0, 1),
    Ipv4Addr::new(10, 2, 0, 1),
    Ipv4Addr::new(172, 16, 0, 1),
    Ipv4Addr::new(192, 0, 2, 1),
];

#[derive(Clone, Debug)]
struct Rule {
    source: usize,
    /// With `!` before it, perhaps.
    destination: (bool, usize),
    output: usize,
    tcp: bool,
    action: usize,
}

#[derive(Clone, Copy, Debug)]
struct Packet {
    source: Ipv4Addr,
    destination: Ipv4Addr,
    output: usize,
    tcp: bool,
}

fn rule() -> impl Strategy<Value = Rule> {
    let not = prop::bool::weighted(0.2);
    let destination = (not, prop_oneof![3 => Just(0_usize), 2 => 1..4_usize]);
    let output = prop_oneof![6 => Just(0_usize), 1 => Just(1_usize)];
    let tcp = prop::bool::weighted(0.1);
    (0..4_usize, destination, output, tcp, 0..5_usize).prop_map(
        |(source, destination, output, tcp, action)| Rule {
            source,
            // All but everything is nothing, and no tool takes it.
            destination: (destination.0 && destination.1 > 0, destination.1),
            output,
            tcp,
            action,
        },
    )
}

impl Rule {
    fn text(&self, chain: &str) -> String {
        let not = if self.destination.0 { "! " } else { "" };
        let tcp = if self.tcp { " -p tcp" } else { "" };
        format!(
            "-A {chain} -s {} {not}-d {} -o {}{tcp} -j {}\n",
            NETS[self.source], NETS[self.destination.1], OUTPUTS[self.output], ACTIONS[self.action]
        )
    }

    fn matches(&self, packet: Packet) -> bool {
        within(NETS[self.source], packet.source)
            && within(NETS[self.destination.1], packet.destination) != self.destination.0
            && self.output == packet.output
            && (!self.tcp || packet.tcp)
    }
}

fn within(net: &str, addr: Ipv4Addr) -> bool {
    net.parse::<ipnet::Ipv4Net>().unwrap().contains(&addr)
}

/// What becomes of it, if that is settled in the chain.
fn walked(rules: &[Rule], inner: &[Rule], packet: Packet) -> Option<&'static str> {
    for rule in rules.iter().filter(|rule| rule.matches(packet)) {
        match ACTIONS[rule.action] {
            "MASQUERADE" => return Some("auto"),
            "ACCEPT" => return Some("none"),
            "RETURN" => return None,
            "U" => {
                if let Some(end) = walked(inner, &[], packet) {
                    return Some(end);
                }
            }
            _ => return Some("203.0.113.11"),
        }
    }
    None
}

fn configured(config: &Config, packet: Packet) -> String {
    let managed = config
        .gateway
        .interfaces
        .iter()
        .any(|name| name == OUTPUTS[packet.output]);
    let mut bypassed = config.bypass.iter().flat_map(|one| &one.destination);
    if !managed || bypassed.any(|net| net.contains(&packet.destination)) {
        return "none".to_owned();
    }
    let all = config.snat.iter();
    let nets = all.flat_map(|snat| snat.source.iter().map(move |net| (net, snat)));
    let mine = nets.filter(|(net, _)| net.contains(&packet.source));
    let longest = mine.max_by_key(|(net, _)| net.prefix_len());
    match longest.map(|(_, snat)| &snat.external[0]) {
        None => "none".to_owned(),
        Some(External::Auto) => "auto".to_owned(),
        Some(External::Addr(addr)) => addr.to_string(),
    }
}

fn packets() -> impl Iterator<Item = Packet> {
    ENDS.into_iter().flat_map(|source| {
        ENDS.into_iter().flat_map(move |destination| {
            (0..4).map(move |bits| Packet {
                source,
                destination,
                output: bits % 2,
                tcp: bits > 1,
            })
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn a_whole_configuration_does_what_the_rules_do(post in prop::collection::vec(rule(), 1..5), mut inner in prop::collection::vec(rule(), 0..4)) {
        inner.retain(|rule| ACTIONS[rule.action] != "U");
        let outer: String = post.iter().map(|rule| rule.text("POSTROUTING")).collect();
        let chain: String = inner.iter().map(|rule| rule.text("U")).collect();
        let text = format!("*nat\n:POSTROUTING ACCEPT [0:0]\n:U - [0:0]\n{outer}{chain}COMMIT\n");
        let imported = import(&text);
        if let (true, Some(config)) = (imported.is_whole(), &imported.config) {
            let config = Config::parse(config, Path::new("snat.toml")).unwrap();
            for packet in packets() {
                let before = walked(&post, &inner, packet).unwrap_or("none");
                prop_assert_eq!(configured(&config, packet), before, "{:?}\n{}", packet, text);
            }
        }
    }
}
