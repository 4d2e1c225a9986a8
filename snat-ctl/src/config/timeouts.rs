//! Section `[timeouts]`, and the RFCs' floors under it.

use std::time::Duration;

use super::{Timeouts, report::Report, section::Section, values};

pub(super) fn timeouts(root: &Section<'_>, report: &mut Report<'_>) -> Timeouts {
    let mut timeouts = Timeouts::default();
    let Timeouts {
        tcp_opening,
        tcp_established,
        tcp_closing,
        udp,
        icmp,
    } = &mut timeouts;
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    let settings = [
        (
            "tcp_opening",
            tcp_opening,
            minutes(4),
            "RFC 5382, requirement 5",
        ),
        (
            "tcp_established",
            tcp_established,
            minutes(124),
            "RFC 5382, requirement 5",
        ),
        (
            "tcp_closing",
            tcp_closing,
            minutes(4),
            "RFC 5382, requirement 5",
        ),
        ("udp", udp, minutes(2), "RFC 4787, requirement 5"),
        ("icmp", icmp, minutes(1), "RFC 5508, requirement 2"),
    ];
    let known = settings.each_ref().map(|(name, ..)| *name);
    let Some(section) = root
        .get("timeouts", report)
        .and_then(|field| field.section(&known, "section [timeouts]", report))
    else {
        return timeouts;
    };
    for (name, setting, least, source) in settings {
        let Some(field) = section.get(name, report) else {
            continue;
        };
        let Some(time) = field.parse(values::duration, report) else {
            continue;
        };
        if time < least {
            let (time, least) = (
                humantime::format_duration(time),
                humantime::format_duration(least),
            );
            let what = format!("{time} is less than the {least} of {source}: idle flows may break");
            report.warn(field.line, &field.key, what);
        }
        *setting = time;
    }
    timeouts
}
