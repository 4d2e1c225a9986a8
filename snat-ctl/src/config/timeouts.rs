//! Section `[timeouts]`, and the RFCs' floors under it.

use std::time::Duration;

use super::{Timeouts, report::Report, section::Section, values};

/// The least that an RFC asks for, which one, and what less may do.
type Floor = (Duration, &'static str);

pub(super) fn timeouts(root: &Section<'_>, report: &mut Report<'_>) -> Timeouts {
    let mut timeouts = Timeouts::default();
    let Timeouts {
        tcp_opening,
        tcp_established,
        tcp_closing,
        udp,
        icmp,
        other,
        port_rest,
    } = &mut timeouts;
    let settings: [(&str, &mut Duration, Option<Floor>); 7] = [
        ("tcp_opening", tcp_opening, Some(OPENING)),
        ("tcp_established", tcp_established, Some(ESTABLISHED)),
        ("tcp_closing", tcp_closing, Some(CLOSING)),
        ("udp", udp, Some(UDP)),
        ("icmp", icmp, Some(ICMP)),
        ("other", other, None),
        ("port_rest", port_rest, Some(PORT_REST)),
    ];
    let known = settings.each_ref().map(|(name, ..)| *name);
    let Some(section) = root
        .get("timeouts", report)
        .and_then(|field| field.section(&known, "section [timeouts]", report))
    else {
        return timeouts;
    };
    for (name, setting, floor) in settings {
        let Some(field) = section.get(name, report) else {
            continue;
        };
        let Some(time) = field.parse(values::duration, report) else {
            continue;
        };
        if let Some((least, why)) = floor
            && time < least
        {
            let (time, least) = (
                humantime::format_duration(time),
                humantime::format_duration(least),
            );
            let what = format!("{time} is less than the {least} of {why}");
            report.warn(field.line, &field.key, what);
        }
        *setting = time;
    }
    timeouts
}

const OPENING: Floor = (
    minutes(4),
    "RFC 5382, requirement 5: slow connects may break (RFC 7857, section 2.1, lets it be lower)",
);
const ESTABLISHED: Floor = (
    minutes(124),
    "RFC 5382, requirement 5: idle flows may break",
);
const CLOSING: Floor = (minutes(4), "RFC 5382, requirement 5: idle flows may break");
const UDP: Floor = (minutes(2), "RFC 4787, requirement 5: idle flows may break");
const ICMP: Floor = (minutes(1), "RFC 5508, requirement 2: idle flows may break");
const PORT_REST: Floor = (
    minutes(2),
    "RFC 6888, requirement 8: what is late for one client may reach the next",
);

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}
