//! Every way to get a configuration wrong, and the exact words for it.

use std::path::Path;

use snat_ctl::config::{Config, ConfigError};

const GATEWAY: &str = "[gateway]\ninterfaces = ['eth0']\n";
const ENTRY: &str = "[[snat]]\nsource = ['10.0.0.0/8']\n";

/// The complaints about a text, without the `t.toml:` before each.
fn complaints(text: &str) -> Vec<String> {
    match Config::parse(text, Path::new("t.toml")) {
        Ok(_) => Vec::new(),
        Err(error @ ConfigError::Invalid(_)) => error
            .to_string()
            .lines()
            .map(|line| {
                line.strip_prefix("t.toml:")
                    .expect("names the file")
                    .to_owned()
            })
            .collect(),
        Err(error) => panic!("{error}"),
    }
}

fn check(cases: &[(&str, &str)], text: impl Fn(&str) -> String) {
    for (wrong, message) in cases {
        assert_eq!(complaints(&text(wrong)), [*message], "for: {wrong}");
    }
}

#[test]
fn a_wrong_gateway_is_refused() {
    let cases = [
        (
            "",
            "1: gateway.interfaces: missing; accepted: interface names such as \"eth0\", 1 to 15 characters",
        ),
        (
            "interfaces=[]",
            "2: gateway.interfaces: empty list; accepted: interface names such as \"eth0\", 1 to 15 characters",
        ),
        (
            "interfaces='eth0'",
            "2: gateway.interfaces: \"eth0\" is a string; accepted: a list of interface names such as \"eth0\", 1 to 15 characters",
        ),
        (
            "interfaces=[7]",
            "2: gateway.interfaces[1]: 7 is an integer; accepted: interface names such as \"eth0\", 1 to 15 characters",
        ),
        (
            "interfaces=['a/b']",
            "2: gateway.interfaces[1]: \"a/b\" is not an interface name; accepted: interface names such as \"eth0\", 1 to 15 characters",
        ),
        (
            "interfaces=['sixteen-letters-']",
            "2: gateway.interfaces[1]: \"sixteen-letters-\" is not an interface name; accepted: interface names such as \"eth0\", 1 to 15 characters",
        ),
        (
            "interfaces=['e','f','e']",
            "2: gateway.interfaces[3]: e is listed twice; accepted: each once",
        ),
        (
            "interfaces=['1','2','3','4','5','6','7','8','9','10','11','12','13','14','15','16','17']",
            "2: gateway.interfaces: 17 interfaces; accepted: at most 16",
        ),
        (
            "interfaces=['e']\nname='Blue'",
            "3: gateway.name: \"Blue\" is not a name; accepted: 1 to 31 characters of a-z, 0-9, _ and -, the first a letter or digit",
        ),
        (
            "interfaces=['e']\nname='-a'",
            "3: gateway.name: \"-a\" is not a name; accepted: 1 to 31 characters of a-z, 0-9, _ and -, the first a letter or digit",
        ),
        (
            "interfaces=['e']\nname='a23456789012345678901234567890xy'",
            "3: gateway.name: \"a23456789012345678901234567890xy\" is not a name; accepted: 1 to 31 characters of a-z, 0-9, _ and -, the first a letter or digit",
        ),
        (
            "interfaces=['e']\ndatapath='tcx'",
            "3: gateway.datapath: unknown \"tcx\"; accepted: auto, xdp, xdp-generic, tc",
        ),
        (
            "interfaces=['e']\ndatapath=true",
            "3: gateway.datapath: true is a boolean; accepted: auto, xdp, xdp-generic, tc",
        ),
        (
            "interfaces=['e']\nmax_flows=0",
            "3: gateway.max_flows: 0 is out of range; accepted: 1 to 16777216",
        ),
        (
            "interfaces=['e']\nmax_flows=16_777_217",
            "3: gateway.max_flows: 16777217 is out of range; accepted: 1 to 16777216",
        ),
        (
            "interfaces=['e']\nmax_flows=-1",
            "3: gateway.max_flows: -1 is out of range; accepted: 1 to 16777216",
        ),
        (
            "interfaces=['e']\nmax_flows=1.5",
            "3: gateway.max_flows: 1.5 is a float; accepted: 1 to 16777216",
        ),
        (
            "interfaces=['e']\ninterface=['e']",
            "3: gateway.interface: unknown key (nearest: interfaces); accepted: name, interfaces, datapath, max_flows",
        ),
        (
            "interfaces=['e']\nzzz=1",
            "3: gateway.zzz: unknown key; accepted: name, interfaces, datapath, max_flows",
        ),
    ];
    check(&cases, |wrong| format!("[gateway]\n{wrong}\n{ENTRY}"));
}

#[test]
fn wrong_and_missing_sections_are_refused() {
    let cases = [
        (
            "[gatewey]\ninterfaces=['e']",
            "1: gatewey: unknown key (nearest: gateway); accepted: gateway, snat, bypass, forward, timeouts, limits, metrics, eni",
        ),
        (
            "gateway=1",
            "1: gateway: 1 is an integer; accepted: section [gateway] with interfaces = [\"eth0\"]",
        ),
    ];
    for (wrong, message) in cases {
        let complaints = complaints(&format!("{wrong}\n{ENTRY}"));
        assert!(complaints.contains(&message.to_owned()), "{complaints:?}");
    }
    let missing = "1: gateway: missing; accepted: section [gateway] with interfaces = [\"eth0\"]";
    assert_eq!(complaints(ENTRY), [missing]);
    let cases = [
        (
            "",
            "1: snat: missing; accepted: at least one section [[snat]] with source = [\"172.16.0.0/16\"]",
        ),
        (
            "[snat]\nsource=['10.0.0.0/8']",
            "3: snat: a table; accepted: [[snat]] sections",
        ),
    ];
    check(&cases, |wrong| format!("{GATEWAY}{wrong}"));
}

#[test]
fn broken_toml_is_refused_at_its_lines() {
    let cases = [
        (
            "[gateway",
            vec!["1: invalid TOML: unclosed table, expected `]`"],
        ),
        (
            "[gateway]\nname=",
            vec!["2: invalid TOML: string values must be quoted, expected literal string"],
        ),
        (
            "[gateway]\nname='a'\nname='b'",
            vec!["3: invalid TOML: duplicate key"],
        ),
        (
            "a=1\n[b\n[[c]\n",
            vec![
                "2: invalid TOML: unclosed table, expected `]`",
                "3: invalid TOML: unclosed array table, expected `]`",
            ],
        ),
    ];
    for (wrong, messages) in cases {
        assert_eq!(complaints(wrong), messages, "for: {wrong}");
    }
}

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
    for (wrong, message) in cases {
        assert_eq!(
            complaints(&format!("{GATEWAY}[[snat]]\n{wrong}")),
            [message],
            "for: {wrong}"
        );
    }
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
    for (wrong, message) in cases {
        let wanted = format!("5: snat[1].ports: {message}");
        assert_eq!(
            complaints(&format!("{GATEWAY}{ENTRY}ports={wrong}")),
            [wanted],
            "for: {wrong}"
        );
    }
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
    for (wrong, message) in cases {
        assert_eq!(
            complaints(&format!("{GATEWAY}{ENTRY}{wrong}")),
            [message],
            "for: {wrong}"
        );
    }
}

#[test]
fn wrong_bypasses_and_timeouts_are_refused() {
    let time = "accepted: a time from 100ms to 7days such as \"2h 4m\"";
    let cases = [
        ("[[bypass]]", "5: bypass[1].destination: missing; accepted: IPv4 prefixes such as \"172.16.0.0/16\"".to_owned()),
        ("[[bypass]]\ndestination=['10.0.0.1/8']", "6: bypass[1].destination[1]: \"10.0.0.1/8\" has host bits set; accepted: \"10.0.0.0/8\" for that prefix".to_owned()),
        ("[[bypass]]\ndestination=['10.0.0.0/8','10.0.0.0/8']", "6: bypass[1].destination[2]: 10.0.0.0/8 is listed twice; accepted: each once".to_owned()),
        ("[timeouts]\nudp='0s'", format!("6: timeouts.udp: \"0s\" is out of range; {time}")),
        ("[timeouts]\nudp='8days'", format!("6: timeouts.udp: \"8days\" is out of range; {time}")),
        ("[timeouts]\nudp=300", format!("6: timeouts.udp: 300 is an integer; {time}")),
        ("[timeouts]\nudp='5'", format!("6: timeouts.udp: \"5\" is not a time (time unit needed, for example 5sec or 5ms); {time}")),
        ("[timeouts]\ntcp_open='4m'", "6: timeouts.tcp_open: unknown key (nearest: tcp_opening); accepted: tcp_opening, tcp_established, tcp_closing, udp, icmp".to_owned()),
    ];
    for (wrong, message) in cases {
        assert_eq!(
            complaints(&format!("{GATEWAY}{ENTRY}{wrong}")),
            [message],
            "for: {wrong}"
        );
    }
}

#[test]
fn what_is_not_built_yet_is_refused_by_name() {
    let section = "accepted: a file without this section";
    let cases = [
        ("mapping='endpoint-independent'", "5: snat[1].mapping: not supported yet: snat.mapping = \"endpoint-independent\"; accepted: auto, address-and-port-dependent".to_owned()),
        ("filtering='address-dependent'", "5: snat[1].filtering: not supported yet: snat.filtering = \"address-dependent\"; accepted: address-and-port-dependent".to_owned()),
        ("filtering='endpoint-independent'", "5: snat[1].filtering: not supported yet: snat.filtering = \"endpoint-independent\"; accepted: address-and-port-dependent".to_owned()),
        ("[[forward]]\nprotocol='tcp'\nexternal='203.0.113.10:8443'\ninternal='172.16.1.5:443'", format!("5: forward: not supported yet: forward; {section}")),
        ("[limits]\nflows_per_source=9", "6: limits.flows_per_source: not supported yet: limits.flows_per_source = 9; accepted: 0 (no limit)".to_owned()),
        ("[metrics]\nlisten='127.0.0.1:9469'", format!("5: metrics: not supported yet: metrics; {section}")),
        ("[metrics]", format!("5: metrics: not supported yet: metrics; {section}")),
        ("[[eni]]\nmatch={name='eth1'}\ntable=1001\ngateway='172.16.20.253'\ndefault_metric=200", format!("5: eni: not supported yet: eni; {section}")),
        ("[[eni]]\nmatch={mac='02:00:00:00:00:01'}\ngateway='auto'", format!("5: eni: not supported yet: eni; {section}")),
    ];
    for (wrong, message) in cases {
        assert_eq!(
            complaints(&format!("{GATEWAY}{ENTRY}{wrong}")),
            [message],
            "for: {wrong}"
        );
    }
}

#[test]
fn a_wrong_value_of_what_is_not_built_yet_is_a_wrong_value_first() {
    let table = "accepted: 1 to 4294967295 without 253 to 255, which are the kernel's";
    let endpoint = "accepted: an IPv4 address and port such as \"203.0.113.10:8443\"";
    let forward = |rest: &str| format!("[[forward]]\ninternal='10.0.0.1:1'\n{rest}");
    let cases = [
        (forward("protocol='udp'"), format!("5: forward[1].external: missing; {endpoint}")),
        (forward("protocol='udp'\nexternal='203.0.113.10'"), format!("8: forward[1].external: \"203.0.113.10\" is not an address and port; {endpoint}")),
        (forward("external='9.9.9.9:9'\nprotocol='sctp'"), "8: forward[1].protocol: unknown \"sctp\"; accepted: tcp, udp".to_owned()),
        ("[limits]\nflows_per_source='x'".to_owned(), "6: limits.flows_per_source: \"x\" is a string; accepted: 0 to 4294967295".to_owned()),
        ("[limits]\nflows=0".to_owned(), "6: limits.flows: unknown key (nearest: flows_per_source); accepted: flows_per_source".to_owned()),
        ("[metrics]\nlisten='9469'".to_owned(), "6: metrics.listen: \"9469\" is not an address and port; accepted: an address and port such as \"127.0.0.1:9469\"".to_owned()),
        ("[[eni]]\ntable=1001".to_owned(), "5: eni[1].match: missing; accepted: { name = \"eth1\" } or { mac = \"02:00:00:00:00:01\" }".to_owned()),
        ("[[eni]]\nmatch={}".to_owned(), "6: eni[1].match: needs either name or mac; accepted: { name = \"eth1\" } or { mac = \"02:00:00:00:00:01\" }".to_owned()),
        ("[[eni]]\nmatch={mac='2:0'}".to_owned(), "6: eni[1].match.mac: \"2:0\" is not a link-layer address; accepted: a link-layer address such as \"02:00:00:00:00:01\"".to_owned()),
        ("[[eni]]\nmatch={name='eth1'}\ntable='x'".to_owned(), format!("7: eni[1].table: \"x\" is a string; {table}")),
        ("[[eni]]\nmatch={name='eth1'}\ntable=254".to_owned(), format!("7: eni[1].table: 254 is the kernel's own; {table}")),
        ("[[eni]]\nmatch={name='eth1'}\ntable=0".to_owned(), format!("7: eni[1].table: 0 is out of range; {table}")),
        ("[[eni]]\nmatch={name='eth1'}\ngateway='x'".to_owned(), "7: eni[1].gateway: \"x\" is not an address; accepted: \"auto\" or an IPv4 address".to_owned()),
        ("[[eni]]\nmatch={name='eth1'}\ndefault_metric=-1".to_owned(), "7: eni[1].default_metric: -1 is out of range; accepted: 0 to 4294967295".to_owned()),
    ];
    for (wrong, message) in cases {
        assert_eq!(
            complaints(&format!("{GATEWAY}{ENTRY}{wrong}")),
            [message],
            "for: {wrong}"
        );
    }
}

#[test]
fn every_problem_is_reported_in_the_files_order() {
    let text = "[gateway]\nname='X'\n[[snat]]\nsource=['x']\nports='9-8'\n[timeouts]\nudp='x'\n";
    let complaints = complaints(text);
    let places: Vec<_> = complaints
        .iter()
        .map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(" "))
        .collect();
    let wanted = [
        "1 gateway.interfaces",
        "2 gateway.name",
        "4 snat[1].source[1]",
        "5 snat[1].ports",
        "7 timeouts.udp",
    ];
    assert_eq!(places, wanted, "{complaints:#?}");
}

#[test]
fn a_missing_file_and_another_instances_file_are_named() {
    let missing = Config::load(Path::new("no-such.toml"))
        .unwrap_err()
        .to_string();
    assert_eq!(
        missing,
        "cannot read the configuration no-such.toml: No such file or directory (os error 2); name another file with --config"
    );
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/snat.toml");
    assert!(Config::load_for(Path::new(sample), Some("default")).is_ok());
    let other = Config::load_for(Path::new(sample), Some("blue"))
        .unwrap_err()
        .to_string();
    assert_eq!(
        other,
        format!(
            "--name blue: {sample} is for instance \"default\"; leave --name out or name another file with --config"
        )
    );
}
