//! `[[snat]]`: each entry by itself, and all of them together.

use super::{ENTRY, GATEWAY, check};

#[test]
fn wrong_snat_entries_are_refused() {
    let prefixes = "accepted: IPv4 prefixes such as \"172.16.0.0/16\"";
    let externals = "accepted: \"auto\", unicast IPv4 addresses such as \"203.0.113.10\" and ranges \"203.0.113.10-203.0.113.13\"";
    let cases = [
        ("", format!("3: snat[1].source: missing; {prefixes}")),
        ("source=[]", format!("4: snat[1].source: empty list; {prefixes}")),
        ("source='10.0.0.0/8'", "4: snat[1].source: \"10.0.0.0/8\" is a string; accepted: a list of IPv4 prefixes such as \"172.16.0.0/16\"".to_owned()),
        ("source=['10.0.0.0/33']", format!("4: snat[1].source[1]: \"10.0.0.0/33\" is not an IPv4 prefix; {prefixes}")),
        ("source=['10.0.0.9']", format!("4: snat[1].source[1]: \"10.0.0.9\" is not an IPv4 prefix; for this one address write \"10.0.0.9/32\"; {prefixes}")),
        ("source=['fd00::/8']", format!("4: snat[1].source[1]: \"fd00::/8\" is not an IPv4 prefix; {prefixes}")),
        ("source=['172.16.4.9/16']", "4: snat[1].source[1]: \"172.16.4.9/16\" has host bits set; accepted: \"172.16.0.0/16\" for that prefix".to_owned()),
        ("source=['10.0.0.0/8', '10.0.0.0/8']", "4: snat[1].source[2]: 10.0.0.0/8 is listed twice; accepted: each once".to_owned()),
        ("source=['10.0.0.9/32']\nexternal=['10.0.0.9']", "4: snat[1].source[1]: 10.0.0.9 is an external address in line 5; accepted: clients".to_owned()),
        ("source=['10.0.0.0/8']\nname='a b'", "5: snat[1].name: \"a b\" is not a name; accepted: 1 to 31 characters of a-z, 0-9, _ and -, the first a letter or digit".to_owned()),
        ("source=['10.0.0.0/8']\nsources=1", "5: snat[1].sources: unknown key (nearest: source); accepted: name, source, external, ports, mapping, filtering".to_owned()),
        ("source=['10.0.0.0/8']\nexternal=[]", format!("5: snat[1].external: empty list; {externals}")),
        ("source=['10.0.0.0/8']\nexternal=['x']", format!("5: snat[1].external[1]: \"x\" is not an address or range; {externals}")),
        ("source=['10.0.0.0/8']\nexternal=['0.1.2.3']", format!("5: snat[1].external[1]: 0.1.2.3 is in 0.0.0.0/8, which is no host's; {externals}")),
        ("source=['10.0.0.0/8']\nexternal=['127.0.0.1']", format!("5: snat[1].external[1]: 127.0.0.1 is a loopback address; {externals}")),
        ("source=['10.0.0.0/8']\nexternal=['224.0.0.1']", format!("5: snat[1].external[1]: 224.0.0.1 is a multicast address; {externals}")),
        ("source=['10.0.0.0/8']\nexternal=['240.0.0.1']", format!("5: snat[1].external[1]: 240.0.0.1 is in the reserved 240.0.0.0/4; {externals}")),
        ("source=['10.0.0.0/8']\nexternal=['255.255.255.255']", format!("5: snat[1].external[1]: 255.255.255.255 is the broadcast address; {externals}")),
        ("source=['10.0.0.0/8']\nexternal=['126.255.255.255-127.0.0.1']", format!("5: snat[1].external[1]: 127.0.0.1 is a loopback address; {externals}")),
        ("source=['10.0.0.0/8']\nexternal=['9.0.0.2-9.0.0.1']", "5: snat[1].external[1]: \"9.0.0.2-9.0.0.1\" is upside down; accepted: \"9.0.0.1-9.0.0.2\"".to_owned()),
        ("source=['10.0.0.0/8']\nexternal=['1.0.0.0-200.0.0.0']", "5: snat[1].external[1]: \"1.0.0.0-200.0.0.0\" is 3338665985 addresses; accepted: at most 1024".to_owned()),
        ("source=['10.0.0.0/8']\nexternal=['9.0.0.1','9.0.0.0-9.0.0.1']", "5: snat[1].external[2]: 9.0.0.1 is listed twice; accepted: each once".to_owned()),
        ("source=['10.0.0.0/8']\nexternal=['9.0.0.1','auto']", "5: snat[1].external[2]: \"auto\" beside others; accepted: \"auto\" alone, or addresses".to_owned()),
        ("source=['10.0.0.0/8']\nexternal=['9.0.0.0-9.0.3.255','9.1.0.0']", "3: snat: 1025 external addresses over all entries; accepted: at most 1024".to_owned()),
        ("source=['10.0.0.0/8']\nmapping='cone'", "5: snat[1].mapping: unknown \"cone\"; accepted: auto, address-and-port-dependent, endpoint-independent".to_owned()),
        ("source=['10.0.0.0/8']\nfiltering=3", "5: snat[1].filtering: 3 is an integer; accepted: address-and-port-dependent, address-dependent, endpoint-independent".to_owned()),
    ];
    check(&cases, |wrong| format!("{GATEWAY}[[snat]]\n{wrong}"));
}

#[test]
fn wrong_ports_are_refused() {
    let accepted = "accepted: \"auto\", a range \"1024-65535\", or several \"1024-2047,4096-8191\", of ports 1 to 65535";
    let cases = [
        (
            "'5000-4000'",
            "range \"5000-4000\" is upside down; accepted: \"4000-5000\"".to_owned(),
        ),
        ("'0-5'", format!("\"0\" is not a port; {accepted}")),
        ("'1-65536'", format!("\"65536\" is not a port; {accepted}")),
        ("'-'", format!("\"\" is not a port; {accepted}")),
        ("'+1'", format!("\"+1\" is not a port; {accepted}")),
        ("'any'", format!("\"any\" is not a port; {accepted}")),
        ("''", format!("no ports; {accepted}")),
        ("[]", format!("no ports; {accepted}")),
        ("[70000]", format!("\"70000\" is not a port; {accepted}")),
        ("true", format!("true is a boolean; {accepted}")),
        (
            "'1-9,9-12'",
            "1-9 and 9-12 overlap; accepted: ranges without overlap".to_owned(),
        ),
        (
            "['10-20','1-30']",
            "1-30 and 10-20 overlap; accepted: ranges without overlap".to_owned(),
        ),
    ];
    let cases = cases.map(|(wrong, message)| (wrong, format!("5: snat[1].ports: {message}")));
    check(&cases, |wrong| format!("{GATEWAY}{ENTRY}ports={wrong}"));
}

#[test]
fn entries_that_contradict_each_other_are_refused() {
    let cases = [
        (
            "[[snat]]\nsource=['10.0.0.0/8']".to_owned(),
            "6: snat[2].source[1]: 10.0.0.0/8 overlaps line 4: the same prefix in two entries; accepted: each prefix once (a longer one inside it may be another entry's)",
        ),
        (
            "[[snat]]\nname='snat-1'\nsource=['11.0.0.0/8']".to_owned(),
            "5: snat[2].name: \"snat-1\" is the name of the entry in line 3 too; accepted: a name of its own",
        ),
        (
            "[[snat]]\nsource=['11.0.0.9/32']\n[[snat]]\nsource=['12.0.0.0/8']\nexternal=['11.0.0.9']".to_owned(),
            "6: snat[2].source[1]: 11.0.0.9 is an external address in line 9; accepted: clients",
        ),
        (
            (1..=4).map(|n| format!("[[snat]]\nsource=['11.{n}.0.0/16']\nports='{n}'\n")).collect(),
            "14: snat: 5 different settings of ports; accepted: at most 4",
        ),
        (
            (0..256).map(|n| format!("[[snat]]\nsource=['11.{n}.0.0/16']\n")).collect(),
            "515: snat: 257 entries; accepted: at most 256",
        ),
    ];
    check(&cases, |wrong| format!("{GATEWAY}{ENTRY}{wrong}"));
}
