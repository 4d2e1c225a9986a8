//! `[[forward]]`.

use super::{ENTRY, GATEWAY, check};

#[test]
fn wrong_forwards_are_refused() {
    let endpoint = "accepted: an IPv4 address and port such as \"203.0.113.10:8443\"";
    let forward = |rest: &str| format!("[[forward]]\ninternal='10.0.0.1:1'\n{rest}");
    let cases = [
        (
            forward("protocol='udp'"),
            format!("5: forward[1].external: missing; {endpoint}"),
        ),
        (
            forward("external='9.9.9.9:9'"),
            "5: forward[1].protocol: missing; accepted: tcp, udp".to_owned(),
        ),
        (
            "[[forward]]\nprotocol='tcp'\nexternal='9.9.9.9:9'".to_owned(),
            format!("5: forward[1].internal: missing; {endpoint}"),
        ),
        (
            forward("protocol='udp'\nexternal='203.0.113.10'"),
            format!(
                "8: forward[1].external: \"203.0.113.10\" is not an address and port; {endpoint}"
            ),
        ),
        (
            forward("protocol='udp'\nexternal='auto'"),
            format!("8: forward[1].external: \"auto\" is not an address and port; {endpoint}"),
        ),
        (
            forward("protocol='udp'\nexternal='9.9.9.9:0'"),
            format!("8: forward[1].external: port 0 is no port; {endpoint}"),
        ),
        (
            forward("protocol='udp'\nexternal='127.0.0.1:9'"),
            format!("8: forward[1].external: 127.0.0.1 is a loopback address; {endpoint}"),
        ),
        (
            forward("protocol='udp'\nexternal=9"),
            format!("8: forward[1].external: 9 is an integer; {endpoint}"),
        ),
        (
            forward("external='9.9.9.9:9'\nprotocol='sctp'"),
            "8: forward[1].protocol: unknown \"sctp\"; accepted: tcp, udp".to_owned(),
        ),
        (
            "[[forward]]\nprotocol='tcp'\nexternal='9.9.9.9:9'\ninternal='10.0.0.1:0'".to_owned(),
            format!("8: forward[1].internal: port 0 is no port; {endpoint}"),
        ),
        (
            forward("protocol='udp'\nexternal='9.9.9.9:9'\nto=1"),
            "9: forward[1].to: unknown key; accepted: protocol, external, internal".to_owned(),
        ),
        (
            "[forward]".to_owned(),
            "5: forward: a table; accepted: [[forward]] sections".to_owned(),
        ),
    ];
    check(&cases, |wrong| format!("{GATEWAY}{ENTRY}{wrong}"));
}

#[test]
fn forwards_that_contradict_others_are_refused() {
    let forward = |external: &str, internal: &str| {
        format!("[[forward]]\nprotocol='tcp'\nexternal='{external}'\ninternal='{internal}'\n")
    };
    let cases = [
        (
            forward("9.9.9.9:9", "10.0.0.1:1") + &forward("9.9.9.9:9", "10.0.0.2:1"),
            "12: forward[2].external: 9.9.9.9:9 is forwarded in line 8 already, for the same protocol; accepted: each once".to_owned(),
        ),
        (
            forward("9.9.9.9:9", "9.0.0.1:1"),
            "9: forward[1].internal: 9.0.0.1 is an external address in line 5; accepted: a client's".to_owned(),
        ),
        (
            forward("9.9.9.9:9", "10.0.0.1:1") + &forward("9.9.9.9:10", "9.9.9.9:9"),
            "13: forward[2].internal: 9.9.9.9 is an external address in line 10; accepted: a client's".to_owned(),
        ),
    ];
    let entry = format!("{ENTRY}external=['9.0.0.1']\n");
    check(&cases, |wrong| format!("{GATEWAY}{entry}{wrong}"));

    let many = |count: u32| -> String {
        (0..count)
            .map(|n| forward(&format!("9.9.9.9:{}", n + 1), "10.0.0.1:1"))
            .collect()
    };
    let cases = [(
        many(4097),
        "16389: forward: 4097 entries; accepted: at most 4096",
    )];
    check(&cases, |wrong| format!("{GATEWAY}{ENTRY}{wrong}"));
    let cases = [(
        forward("9.9.9.9:9", "10.0.0.1:1"),
        "6: forward: 1025 external addresses, with those of snat; accepted: at most 1024",
    )];
    let entry = format!("{ENTRY}external=['9.0.0.0-9.0.3.255']\n");
    check(&cases, |wrong| format!("{GATEWAY}{entry}{wrong}"));
}
