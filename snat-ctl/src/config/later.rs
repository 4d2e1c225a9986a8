//! What the file may say already and nothing is built for yet: checked in full, then refused.

use std::net::SocketAddr;

use super::{report::Report, section::Section, values};

const LISTEN: &str = "an address and port such as \"127.0.0.1:9469\"";

pub(super) fn refuse(root: &Section<'_>, report: &mut Report<'_>) {
    let before = report.count();
    if let Some(line) = metrics(root, report)
        && report.count() == before
    {
        let what = "not supported yet: metrics; accepted: a file without this section";
        report.wrong(line, "metrics", what);
    }
}

fn metrics(root: &Section<'_>, report: &mut Report<'_>) -> Option<usize> {
    let section = root
        .get("metrics", report)?
        .section(&["listen"], "section [metrics]", report)?;
    section.optional(
        "listen",
        |value| values::endpoint::<SocketAddr>(value, LISTEN),
        report,
    );
    Some(section.line)
}
