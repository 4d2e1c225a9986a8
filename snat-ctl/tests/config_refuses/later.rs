//! What a later version builds: checked already, and refused by name.

use super::{ENTRY, GATEWAY, check};

#[test]
fn what_is_not_built_yet_is_refused_by_name() {
    let section = "accepted: a file without this section";
    let cases = [
        (
            "[metrics]\nlisten='127.0.0.1:9469'",
            format!("5: metrics: not supported yet: metrics; {section}"),
        ),
        (
            "[metrics]",
            format!("5: metrics: not supported yet: metrics; {section}"),
        ),
        (
            "[[eni]]\nmatch={name='eth1'}\ntable=1001\ngateway='172.16.20.253'\ndefault_metric=200",
            format!("5: eni: not supported yet: eni; {section}"),
        ),
        (
            "[[eni]]\nmatch={mac='02:00:00:00:00:01'}\ngateway='auto'",
            format!("5: eni: not supported yet: eni; {section}"),
        ),
    ];
    check(&cases, |wrong| format!("{GATEWAY}{ENTRY}{wrong}"));
}

#[test]
fn a_wrong_value_of_what_is_not_built_yet_is_a_wrong_value_first() {
    let table = "accepted: 1 to 4294967295 without 253 to 255, which are the kernel's";
    let cases = [
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
    check(&cases, |wrong| format!("{GATEWAY}{ENTRY}{wrong}"));
}
