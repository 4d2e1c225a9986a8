//! `[[rule]]`, each by itself, and the marks that it and `[[eni]]` have.

use super::{NETS, check_file};

#[test]
fn a_wrong_mark_is_refused() {
    let accepted = "accepted: a mark such as 0x101, or one with a mask such as \"0x101/0xfff\"";
    let cases = [
        (
            "4294967296",
            format!("4294967296 is out of range; {accepted}"),
        ),
        ("-1", format!("-1 is out of range; {accepted}")),
        ("'0x'", format!("\"0x\" is not a mark; {accepted}")),
        ("'+1'", format!("\"+1\" is not a mark; {accepted}")),
        ("'1/'", format!("\"1/\" is not a mark; {accepted}")),
        ("'1/2/3'", format!("\"1/2/3\" is not a mark; {accepted}")),
        (
            "'0xfffffffff'",
            format!("\"0xfffffffff\" is not a mark; {accepted}"),
        ),
        ("[1]", format!("a list; {accepted}")),
        (
            "'1/0'",
            format!("a mask of 0 matches every packet; {accepted}"),
        ),
        (
            "'0x101/0xff'",
            "0x101 has bits outside the mask 0xff; accepted: \"0x1/0xff\", or a wider mask"
                .to_owned(),
        ),
    ];
    let of_eni = cases
        .clone()
        .map(|(wrong, message)| (wrong, format!("3: eni[1].mark: {message}")));
    check_file(&of_eni, |wrong| {
        format!("[[eni]]\nmatch={{name='eth1'}}\nmark={wrong}")
    });
    let of_rule = cases.map(|(wrong, message)| (wrong, format!("2: rule[1].mark: {message}")));
    check_file(&of_rule, |wrong| {
        format!("[[rule]]\nmark={wrong}\nlookup='main'")
    });

    let unmarked =
        "3: eni[1].mark: 0 is the mark of packets that nobody marked; accepted: another one";
    check_file(&[("0", unmarked), ("'0/0xff'", unmarked)], |wrong| {
        format!("[[eni]]\nmatch={{name='eth1'}}\nmark={wrong}")
    });
}

#[test]
fn a_wrong_selector_of_a_rule_is_refused() {
    let ports = "accepted: a port such as 443 or a range such as \"1024-65534\", of ports 1 to 65534 (the kernel's rules take no 65535)";
    let protocols = "accepted: tcp, udp, udp-lite, icmp, icmpv6, sctp, dccp, gre, esp, ah, or a number from 1 to 255";
    let needed = "needs a protocol with ports; accepted: protocol tcp, udp, udp-lite, sctp or dccp beside it";
    let tcp = |ports: &str| format!("protocol='tcp'\n{ports}");
    let cases = [
        ("source=[]".to_owned(), format!("2: rule[1].source: empty list; {NETS}")),
        ("source=['x']".to_owned(), format!("2: rule[1].source[1]: \"x\" is not a prefix; {NETS}")),
        (
            "destination=['::/0','::/0']".to_owned(),
            "2: rule[1].destination[2]: ::/0 is listed twice; accepted: each once".to_owned(),
        ),
        (
            "interface=''".to_owned(),
            "2: rule[1].interface: \"\" is not an interface name; accepted: interface names such as \"eth0\", 1 to 15 characters".to_owned(),
        ),
        ("protocol='tpc'\nsource_ports=1".to_owned(), format!("2: rule[1].protocol: unknown \"tpc\"; {protocols}")),
        ("protocol=0".to_owned(), format!("2: rule[1].protocol: 0 is out of range; {protocols}")),
        ("protocol=256".to_owned(), format!("2: rule[1].protocol: 256 is out of range; {protocols}")),
        ("protocol=true".to_owned(), format!("2: rule[1].protocol: true is a boolean; {protocols}")),
        (tcp("source_ports=0"), format!("3: rule[1].source_ports: \"0\" is not a port; {ports}")),
        (tcp("source_ports=65535"), format!("3: rule[1].source_ports: 65535 is out of range; {ports}")),
        (tcp("source_ports='1024-65535'"), format!("3: rule[1].source_ports: 65535 is out of range; {ports}")),
        (tcp("source_ports=-1"), format!("3: rule[1].source_ports: \"-1\" is not a port; {ports}")),
        (tcp("source_ports='1,2'"), format!("3: rule[1].source_ports: \"1,2\" is not a port; {ports}")),
        (
            tcp("destination_ports='9-8'"),
            "3: rule[1].destination_ports: range \"9-8\" is upside down; accepted: \"8-9\"".to_owned(),
        ),
        (tcp("destination_ports=[1]"), format!("3: rule[1].destination_ports: a list; {ports}")),
        ("source_ports=1".to_owned(), format!("2: rule[1].source_ports: {needed}")),
        (
            "protocol='icmp'\ndestination_ports=1".to_owned(),
            format!("3: rule[1].destination_ports: {needed}"),
        ),
        (
            "source=['10.0.0.0/8']\ndestination=['2001:db8::/32']".to_owned(),
            "3: rule[1].destination: no prefix is of the same family as one in source; accepted: IPv4 with IPv4, or IPv6 with IPv6".to_owned(),
        ),
        (
            "to=['10.0.0.0/8']".to_owned(),
            "2: rule[1].to: unknown key; accepted: source, destination, interface, protocol, source_ports, destination_ports, mark, lookup, action".to_owned(),
        ),
    ];
    check_file(&cases, |wrong| {
        format!("[[rule]]\n{wrong}\naction='prohibit'")
    });
}

#[test]
fn a_rule_says_once_what_becomes_of_a_packet() {
    let either = "1: rule[1]: needs either lookup or action; accepted: lookup = \"eth1\", or action = \"prohibit\"";
    let tables =
        "accepted: the name or MAC that an [[eni]] is matched by, \"main\", or a table's number";
    let cases = [
        ("", either.to_owned()),
        ("lookup='main'\naction='prohibit'", either.to_owned()),
        (
            "action='drop'",
            "3: rule[1].action: unknown \"drop\"; accepted: unreachable, prohibit, blackhole"
                .to_owned(),
        ),
        (
            "lookup=0",
            format!("3: rule[1].lookup: 0 is out of range; {tables}"),
        ),
        (
            "lookup=true",
            format!("3: rule[1].lookup: true is a boolean; {tables}"),
        ),
    ];
    check_file(&cases, |wrong| format!("[[rule]]\nprotocol='gre'\n{wrong}"));
}
