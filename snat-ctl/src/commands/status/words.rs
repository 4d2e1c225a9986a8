//! How ports, shares and errors are written.

use std::time::{Duration, SystemTime};

use crate::{
    commands::words::share,
    datapath::Ports,
    last_errors::{LastError, seconds},
};

/// Ports of an external address and protocol.
pub(super) fn port_use(ports: &Ports) -> String {
    let Ports {
        external,
        protocol,
        resting,
        ..
    } = ports;
    format!(
        "{external} {protocol}: {}, {resting} of them resting",
        share(ports.room())
    )
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
