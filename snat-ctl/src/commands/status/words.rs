//! Numbers and lines as a person reads them.

use std::time::{Duration, SystemTime};

use crate::{
    datapath::{Ports, Room},
    last_errors::{LastError, seconds},
};

/// `12 of 100 (12.0 %)`.
pub(super) fn share(room: Room) -> String {
    let Room { used, max } = room;
    let percent = 100.0 * used as f64 / max.max(1) as f64;
    format!("{used} of {max} ({percent:.1} %)")
}

/// Ports of an external address and protocol.
pub(super) fn port_use(ports: &Ports) -> String {
    let Ports {
        external,
        protocol,
        used,
        resting,
        max,
    } = ports;
    let taken = Room {
        used: used + resting,
        max: *max,
    };
    format!(
        "{external} {protocol}: {}, {resting} of them resting",
        share(taken)
    )
}

/// `950`, `12.3 k`, `4.6 M`: decimal, as rates are.
pub(super) fn amount(number: f64) -> String {
    match number {
        number if number >= 1e9 => format!("{:.1} G", number / 1e9),
        number if number >= 1e6 => format!("{:.1} M", number / 1e6),
        number if number >= 1e3 => format!("{:.1} k", number / 1e3),
        number => format!("{number:.0} "),
    }
}

/// `2m ago: text (3 times)`.
pub(super) fn last_error(error: &LastError) -> String {
    let age = seconds(SystemTime::now()).saturating_sub(error.at);
    let age = humantime::format_duration(Duration::from_secs(age));
    let times = match error.times {
        1 => String::new(),
        times => format!(" ({times} times)"),
    };
    format!("{age} ago: {}{times}", error.text)
}

#[cfg(test)]
mod tests {
    use super::amount;

    #[test]
    fn rates_are_short() {
        for (number, text) in [
            (0.0, "0 "),
            (999.4, "999 "),
            (1_000.0, "1.0 k"),
            (12_345_678.0, "12.3 M"),
            (2.5e9, "2.5 G"),
        ] {
            assert_eq!(amount(number), text);
        }
    }
}
