//! `[gateway]`.

use super::{ENTRY, check};

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
            "interfaces=['e']\nmss_clamp=535",
            "3: gateway.mss_clamp: 535 is out of range; accepted: \"auto\", \"off\" or 536 to 65495",
        ),
        (
            "interfaces=['e']\nmss_clamp=65_496",
            "3: gateway.mss_clamp: 65496 is out of range; accepted: \"auto\", \"off\" or 536 to 65495",
        ),
        (
            "interfaces=['e']\nmss_clamp='1400'",
            "3: gateway.mss_clamp: \"1400\" is a string; accepted: \"auto\", \"off\" or 536 to 65495",
        ),
        (
            "interfaces=['e']\ninterface=['e']",
            "3: gateway.interface: unknown key (nearest: interfaces); accepted: name, interfaces, datapath, max_flows, mss_clamp",
        ),
        (
            "interfaces=['e']\nzzz=1",
            "3: gateway.zzz: unknown key; accepted: name, interfaces, datapath, max_flows, mss_clamp",
        ),
    ];
    check(&cases, |wrong| format!("[gateway]\n{wrong}\n{ENTRY}"));
}
