//! `[routing]` and `[[eni]]`, each by itself.

use super::{NETS, check_file};

#[test]
fn a_wrong_routing_section_is_refused() {
    let mask = "accepted: at least 4 bits, all beside each other, such as 0xff000000";
    let priority = "is out of range; accepted: 1 to 31000";
    let cases = [
        ("priority=0", format!("priority: 0 {priority}")),
        ("priority=31_001", format!("priority: 31001 {priority}")),
        (
            "mark_mask=0",
            format!("mark_mask: 0 is no such mask; {mask}"),
        ),
        (
            "mark_mask=0x7",
            format!("mark_mask: 0x7 is no such mask; {mask}"),
        ),
        (
            "mark_mask=0xf0f0",
            format!("mark_mask: 0xf0f0 is no such mask; {mask}"),
        ),
        (
            "mark_mask=4294967296",
            format!("mark_mask: 4294967296 is no such mask; {mask}"),
        ),
        (
            "mark_mask='0xf'",
            format!("mark_mask: \"0xf\" is a string; {mask}"),
        ),
        (
            "bypass='10.0.0.0/8'",
            "bypass: \"10.0.0.0/8\" is a string; accepted: a list of prefixes such as \"10.8.0.0/16\" and \"2001:db8::/32\"".to_owned(),
        ),
        (
            "bypass=['10.0.0.1/8']",
            "bypass[1]: \"10.0.0.1/8\" has host bits set; accepted: \"10.0.0.0/8\" for that prefix".to_owned(),
        ),
        (
            "bypass=['2001:db8::1']",
            format!("bypass[1]: \"2001:db8::1\" is not a prefix; for this one address write \"2001:db8::1/128\"; {NETS}"),
        ),
        (
            "bypass=['10.0.0.0/8','10.0.0.0/8']",
            "bypass[2]: 10.0.0.0/8 is listed twice; accepted: each once".to_owned(),
        ),
        (
            "bypass=['0.0.0.0/0']",
            "bypass[1]: 0.0.0.0/0 is every address; accepted: smaller prefixes".to_owned(),
        ),
        (
            "mask=1",
            "mask: unknown key; accepted: priority, mark_mask, bypass".to_owned(),
        ),
    ];
    let cases = cases.map(|(wrong, message)| (wrong, format!("2: routing.{message}")));
    check_file(&cases, |wrong| {
        format!("[routing]\n{wrong}\n[[eni]]\nmatch={{name='eth1'}}")
    });
}

#[test]
fn sections_of_another_kind_are_refused() {
    let cases = [
        (
            "routing=1\n[[rule]]\nprotocol='gre'\nlookup='main'",
            "1: routing: 1 is an integer; accepted: section [routing]",
        ),
        ("[eni]", "1: eni: a table; accepted: [[eni]] sections"),
        (
            "rule=[1]",
            "1: rule[1]: 1 is an integer; accepted: [[rule]] sections",
        ),
    ];
    check_file(&cases, str::to_owned);
}

#[test]
fn a_wrong_match_is_refused() {
    let accepted = "accepted: { name = \"eth1\" } or { mac = \"02:00:00:00:00:01\" }";
    let mac =
        "is not a link-layer address; accepted: a link-layer address such as \"02:00:00:00:00:01\"";
    let cases = [
        ("table=1", format!("1: eni[1].match: missing; {accepted}")),
        (
            "match='eth1'",
            format!("2: eni[1].match: \"eth1\" is a string; {accepted}"),
        ),
        (
            "match={}",
            format!("2: eni[1].match: needs either name or mac; {accepted}"),
        ),
        (
            "match={name='a',mac='02:00:00:00:00:01'}",
            format!("2: eni[1].match: needs either name or mac; {accepted}"),
        ),
        (
            "match={mac='2:0'}",
            format!("2: eni[1].match.mac: \"2:0\" {mac}"),
        ),
        (
            "match={mac='02:00:00:00:00:+1'}",
            format!("2: eni[1].match.mac: \"02:00:00:00:00:+1\" {mac}"),
        ),
        (
            "match={mac='02:00:00:00:00:01:02'}",
            format!("2: eni[1].match.mac: \"02:00:00:00:00:01:02\" {mac}"),
        ),
        (
            "match={name='a/b'}",
            "2: eni[1].match.name: \"a/b\" is not an interface name; accepted: interface names such as \"eth0\", 1 to 15 characters".to_owned(),
        ),
        (
            "match={names='a'}",
            "2: eni[1].match.names: unknown key (nearest: name); accepted: name, mac".to_owned(),
        ),
    ];
    check_file(&cases, |wrong| format!("[[eni]]\n{wrong}"));
}

#[test]
fn a_wrong_value_of_an_interface_is_refused() {
    let table = "accepted: 1 to 4294967295 without 253 to 255, which are the kernel's";
    let gateway = "accepted: \"auto\", \"none\" or an IPv4 address";
    let gateway6 = "accepted: \"auto\", \"none\" or an IPv6 address";
    let cases = [
        ("table='x'", format!("table: \"x\" is a string; {table}")),
        ("table=0", format!("table: 0 is out of range; {table}")),
        (
            "table=253",
            format!("table: 253 is the kernel's own; {table}"),
        ),
        (
            "table=255",
            format!("table: 255 is the kernel's own; {table}"),
        ),
        (
            "gateway='x'",
            format!("gateway: \"x\" is not an address; {gateway}"),
        ),
        (
            "gateway='fe80::1'",
            format!("gateway: \"fe80::1\" is not an address; {gateway}"),
        ),
        (
            "gateway='224.0.0.1'",
            format!("gateway: 224.0.0.1 is a multicast address; {gateway}"),
        ),
        (
            "gateway=false",
            format!("gateway: false is a boolean; {gateway}"),
        ),
        (
            "gateway6='10.0.0.1'",
            format!("gateway6: \"10.0.0.1\" is not an address; {gateway6}"),
        ),
        (
            "gateway6='::'",
            format!("gateway6: :: is no host's; {gateway6}"),
        ),
        (
            "gateway6='::1'",
            format!("gateway6: ::1 is a loopback address; {gateway6}"),
        ),
        (
            "gateway6='ff02::1'",
            format!("gateway6: ff02::1 is a multicast address; {gateway6}"),
        ),
        (
            "default_metric=0",
            "default_metric: 0 is out of range; accepted: 1 to 4294967295".to_owned(),
        ),
        (
            "weight=0",
            "weight: 0 is out of range; accepted: 1 to 1000".to_owned(),
        ),
        (
            "weight=1001",
            "weight: 1001 is out of range; accepted: 1 to 1000".to_owned(),
        ),
        (
            "prefixes=['172.16.21.1']",
            format!("prefixes[1]: \"172.16.21.1\" is not a prefix; for this one address write \"172.16.21.1/32\"; {NETS}"),
        ),
        (
            "prefixes=['::/0']",
            "prefixes[1]: ::/0 is every address; accepted: smaller prefixes".to_owned(),
        ),
        (
            "metric=1",
            "metric: unknown key; accepted: match, table, gateway, gateway6, default_metric, prefixes, mark, weight".to_owned(),
        ),
    ];
    let cases = cases.map(|(wrong, message)| (wrong, format!("3: eni[1].{message}")));
    check_file(&cases, |wrong| {
        format!("[[eni]]\nmatch={{name='eth1'}}\n{wrong}")
    });
}

#[test]
fn a_default_route_needs_a_gateway() {
    let what = "there is no default route, since gateway and gateway6 are \"none\"; accepted: a gateway, or no such key";
    let cases = [
        (
            "default_metric=200",
            format!("5: eni[1].default_metric: {what}"),
        ),
        ("weight=1", format!("5: eni[1].weight: {what}")),
    ];
    check_file(&cases, |wrong| {
        let other = "[[eni]]\nmatch={name='eth2'}\nweight=1";
        format!("[[eni]]\nmatch={{name='eth1'}}\ngateway='none'\ngateway6='none'\n{wrong}\n{other}")
    });
}
