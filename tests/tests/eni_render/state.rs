//! What the kernel has, in `ip`'s words, and what it does with packets.

use anyhow::{Result, ensure};
use snat_tests::netns::Netns;

const RULES: &str = "\
20000: from all to 10.8.0.0/16 lookup main
20100: from 172.16.20.0/24 to 203.0.113.0/24 iif lo ipproto tcp sport 1024-60999 dport 443 prohibit
20400: from 172.16.10.10 lookup 7010
20410: from 172.16.20.193 lookup 7020
20411: from 172.16.20.177 lookup 7020
20500: from all fwmark 0x101 lookup 7020
20050: from all lookup main suppress_prefixlength 0
20101: from all fwmark 0x10/0xff iif eth1 unreachable
20401: from 2001:db8:10::10 lookup 7010
20412: from 2001:db8:20::193 lookup 7020
20500: from all fwmark 0x101 lookup 7020
";

const ROUTES: &str = "\
172.16.10.0/24 dev eth0 scope link
default via 172.16.10.253 dev eth0
unreachable default metric 4294967295
172.16.20.0/24 dev eth1 scope link
default via 172.16.20.253 dev eth1
unreachable default metric 4294967295
2001:db8:10::/64 dev eth0 metric 1024
default via 2001:db8:10::fd dev eth0 metric 1024
unreachable default metric 4294967295
2001:db8:20::/64 dev eth1 metric 1024
default via 2001:db8:20::fd dev eth1 metric 1024
unreachable default metric 4294967295
default via 172.16.10.253 dev eth0
default via 172.16.20.253 dev eth1 metric 200
";

/// What `ip route get` is asked, and what its answer begins with or, if it is refused, contains.
const LOOKUPS: [(&str, &str); 12] = [
    (
        "198.51.100.20 from 172.16.20.193",
        "via 172.16.20.253 dev eth1",
    ),
    (
        "198.51.100.20 from 172.16.20.177",
        "via 172.16.20.253 dev eth1",
    ),
    (
        "198.51.100.20 from 172.16.10.10",
        "via 172.16.10.253 dev eth0",
    ),
    ("198.51.100.20", "via 172.16.10.253 dev eth0"),
    ("198.51.100.20 mark 0x101", "via 172.16.20.253 dev eth1"),
    ("172.16.20.9 from 172.16.20.193", "dev eth1"),
    ("10.8.0.1 from 172.16.20.193", "via 172.16.10.253 dev eth0"),
    (
        "203.0.113.9 from 172.16.20.193 ipproto tcp sport 5000 dport 443",
        "Permission denied",
    ),
    (
        "203.0.113.9 from 172.16.20.193 ipproto tcp sport 5000 dport 80",
        "via 172.16.20.253 dev eth1",
    ),
    (
        "2001:db8:ffff::20 from 2001:db8:20::193",
        "via 2001:db8:20::fd dev eth1",
    ),
    (
        "2001:db8:ffff::20 from 2001:db8:10::10",
        "via 2001:db8:10::fd dev eth0",
    ),
    (
        "2001:db8:ffff::20 mark 0x101",
        "via 2001:db8:20::fd dev eth1",
    ),
];

/// All rules and routes of the example and none besides, the lookups that follow from them, and the guards.
pub(crate) fn expect_all(host: &Netns) -> Result<()> {
    let found = rules(host)?;
    ensure!(found == RULES, "rules are\n{found}instead of\n{RULES}");
    let found = routes(host)?;
    ensure!(found == ROUTES, "routes are\n{found}instead of\n{ROUTES}");
    lookups(host)?;
    // Whatever protocol it has.
    host.ip("route del default via 172.16.20.253 table 7020")?;
    let refused = get(host, "198.51.100.20 from 172.16.20.193");
    host.ip("route add default via 172.16.20.253 table 7020 protocol 201")?;
    ensure!(
        refused.contains("No route to host"),
        "without its default route: {refused}"
    );
    Ok(())
}

pub(crate) fn lookups(host: &Netns) -> Result<()> {
    for (question, expected) in LOOKUPS {
        let answer = get(host, question);
        ensure!(answer.contains(expected), "{question}: {answer}");
    }
    Ok(())
}

/// `ip route get`'s answer, or why there is none. By number: names of tables are in files that all namespaces share.
pub(crate) fn get(host: &Netns, question: &str) -> String {
    match host.run(&format!("ip -N route get {question}")) {
        Ok(answer) => answer,
        Err(error) => format!("{error:#}"),
    }
}

/// All that `ip` shows, as it stands.
pub(crate) fn everything(host: &Netns) -> Result<String> {
    let commands = [
        "-4 rule",
        "-6 rule",
        "-4 route show table all",
        "-6 route show table all",
    ];
    commands
        .iter()
        .map(|command| host.run(&format!("ip {command}")))
        .collect()
}

/// But the kernel's own. networkd names the main table in rules that look in none.
fn rules(host: &Netns) -> Result<String> {
    let text = host.run("ip -4 rule")? + &host.run("ip -6 rule")?;
    let text = text
        .replace("lookup main prohibit", "prohibit")
        .replace("lookup main unreachable", "unreachable");
    let ours = text.lines().filter(|line| {
        !["0:", "32766:", "32767:"]
            .iter()
            .any(|own| line.starts_with(own))
    });
    Ok(ours.map(plain).collect())
}

fn routes(host: &Netns) -> Result<String> {
    let tables = [
        "-4 route show table 7010",
        "-4 route show table 7020",
        "-6 route show table 7010",
        "-6 route show table 7020",
        "-4 route show exact default",
    ];
    let mut text = String::new();
    for table in tables {
        let mut lines: Vec<_> = host
            .run(&format!("ip {table}"))?
            .lines()
            .map(plain)
            .collect();
        lines.sort();
        text.extend(lines);
    }
    Ok(text)
}

/// Without who made it, and what is always the same.
pub(crate) fn plain(line: &str) -> String {
    let mut words: Vec<_> = line.split_whitespace().collect();
    if let Some(index) = words.iter().position(|word| *word == "proto") {
        words.drain(index..index + 2);
    }
    let line = words
        .join(" ")
        .replace(" pref medium", "")
        .replace("unreachable default dev lo", "unreachable default");
    line + "\n"
}
