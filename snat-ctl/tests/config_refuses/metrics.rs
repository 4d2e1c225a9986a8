//! Section `[metrics]`.

use super::{ENTRY, GATEWAY, check, check_file};

const ACCEPTED: &str = "accepted: an address and port such as \"127.0.0.1:9469\"";

#[test]
fn what_nobody_could_listen_on_is_refused() {
    let cases = [
        (
            "listen='9469'",
            format!("6: metrics.listen: \"9469\" is not an address and port; {ACCEPTED}"),
        ),
        (
            "listen='localhost:9469'",
            format!("6: metrics.listen: \"localhost:9469\" is not an address and port; {ACCEPTED}"),
        ),
        (
            "listen='0.0.0.0:0'",
            format!(
                "6: metrics.listen: \"0.0.0.0:0\" has no port that a server could be told; {ACCEPTED}"
            ),
        ),
        (
            "listen=9469",
            format!("6: metrics.listen: 9469 is an integer; {ACCEPTED}"),
        ),
        (
            "port=9469",
            "6: metrics.port: unknown key; accepted: listen".to_owned(),
        ),
    ];
    check(&cases, |wrong| {
        format!("{GATEWAY}{ENTRY}[metrics]\n{wrong}")
    });
}

#[test]
fn without_a_gateway_there_is_nothing_to_measure() {
    let cases = [(
        "[metrics]",
        "1: gateway: missing; accepted: section [gateway] with interfaces = [\"eth0\"]",
    )];
    check_file(&cases, |wrong| {
        format!("{ENTRY}{wrong}\n[[eni]]\nmatch={{name='eth1'}}")
    });
}
