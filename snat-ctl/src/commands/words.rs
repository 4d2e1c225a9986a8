//! Numbers and lines as a person reads them, the same in every command.

use std::{net::Ipv4Addr, time::Duration};

use crate::datapath::Room;

/// `950 `, `12.3 k`, `4.6 M`: decimal, a unit follows.
pub(super) fn amount(number: f64) -> String {
    match number {
        number if number >= 1e9 => format!("{:.1} G", number / 1e9),
        number if number >= 1e6 => format!("{:.1} M", number / 1e6),
        number if number >= 1e3 => format!("{:.1} k", number / 1e3),
        number => format!("{number:.0} "),
    }
}

/// Without a unit: `950`, `12.3 k`.
pub(super) fn bare(number: f64) -> String {
    amount(number).trim_end().to_owned()
}

/// Bits a second, as `1.5 Mbit/s`.
pub(super) fn rate(bits: f64) -> String {
    amount(bits) + "bit/s"
}

/// Whole seconds, as `2h 4m`.
pub(super) fn time(seconds: f64) -> String {
    humantime::format_duration(Duration::from_secs(seconds as u64)).to_string()
}

/// Protocols without ports have none, and an ICMP echo has nothing in their place at the server's side.
pub(super) fn endpoint(addr: Ipv4Addr, port: u16) -> String {
    match port {
        0 => addr.to_string(),
        port => format!("{addr}:{port}"),
    }
}

/// `12 of 100 (12.0 %)`.
pub(super) fn share(room: Room) -> String {
    let Room { used, max } = room;
    let percent = 100.0 * used as f64 / max.max(1) as f64;
    format!("{used} of {max} ({percent:.1} %)")
}

/// Without its sign.
pub(super) fn percent(part: u64, whole: u64) -> String {
    format!("{:.1}", 100.0 * part as f64 / whole.max(1) as f64)
}

/// More or fewer in a second.
pub(super) fn growth(per_second: f64) -> String {
    format!("{per_second:+.1}/s")
}

/// When nothing is left.
pub(super) fn exhausted(seconds: Option<f64>) -> String {
    match seconds {
        None => "never".to_owned(),
        Some(0.0) => "now".to_owned(),
        Some(seconds) => format!("in {}", time(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::{amount, rate};

    #[test]
    fn numbers_are_short_and_have_the_unit_that_fits() {
        for (number, text) in [
            (0.0, "0 "),
            (999.4, "999 "),
            (1_000.0, "1.0 k"),
            (12_345_678.0, "12.3 M"),
            (2.5e9, "2.5 G"),
        ] {
            assert_eq!(amount(number), text);
            assert_eq!(rate(number), format!("{text}bit/s"));
        }
    }
}
