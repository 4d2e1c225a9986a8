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
    ];
    check(&cases, |wrong| format!("{GATEWAY}{ENTRY}{wrong}"));
}

#[test]
fn a_wrong_value_of_what_is_not_built_yet_is_a_wrong_value_first() {
    let cases = [(
        "[metrics]\nlisten='9469'",
        "6: metrics.listen: \"9469\" is not an address and port; accepted: an address and port such as \"127.0.0.1:9469\"",
    )];
    check(&cases, |wrong| format!("{GATEWAY}{ENTRY}{wrong}"));
}
