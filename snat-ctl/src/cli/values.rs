//! Times and endpoints that several verbs take.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use crate::datapath::time;

/// Far from what would overflow a clock.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Between two looks.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    match interval_or_none(text)? {
        short if short < Duration::from_millis(10) => Err("too short: at least 10ms".to_owned()),
        interval => Ok(interval),
    }
}

/// The same, or 0 for one look alone.
pub(super) fn interval_or_none(text: &str) -> Result<Duration, String> {
    match time(text)? {
        long if long > LONGEST => Err("too long: at most 1day".to_owned()),
        interval => Ok(interval),
    }
}

/// An address that may have a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address.
    pub addr: Ipv4Addr,
    /// The port, or echo identifier.
    pub port: Option<u16>,
}

pub(super) fn endpoint(text: &str) -> Result<Endpoint, String> {
    if let Ok(addr) = text.parse() {
        return Ok(Endpoint { addr, port: None });
    }
    let with_port: SocketAddrV4 = text.parse().map_err(|_| {
        "accepted: an IPv4 address, such as 172.16.4.9, or 172.16.4.9:5060".to_owned()
    })?;
    Ok(Endpoint {
        addr: *with_port.ip(),
        port: Some(with_port.port()),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::{Endpoint, endpoint};
    use crate::cli::Cli;

    #[test]
    fn an_endpoint_is_an_address_with_or_without_a_port() {
        let addr = [172, 16, 4, 9].into();
        assert_eq!(endpoint("172.16.4.9"), Ok(Endpoint { addr, port: None }));
        let with_port = Endpoint {
            addr,
            port: Some(53),
        };
        assert_eq!(endpoint("172.16.4.9:53"), Ok(with_port));
        assert!(endpoint("172.16.4.9:70000").is_err());
        assert!(endpoint("fe80::1").is_err());
    }

    #[test]
    fn every_verb_takes_and_refuses_the_same_times_and_prefixes() {
        for (line, accepted) in [
            ("status --interval 0", true),
            ("drops --interval 0", true),
            ("drops --interval 0s", true),
            ("flows --interval 0s", false),
            ("pools --interval 5ms", false),
            ("top --interval 10ms", true),
            ("top --interval 300000000000y", false),
            ("flows --source 172.16.4.0/24", true),
            ("drops --watch --source 172.16.4.0/24", true),
            ("flows --source 172.16.4.9/24", false),
            ("drops --watch --source 172.16.4.9/24", false),
        ] {
            let words = ["snat-ctl"].into_iter().chain(line.split(' '));
            let parsed = Cli::try_parse_from(words);
            assert_eq!(parsed.is_ok(), accepted, "{line}: {parsed:?}");
        }
    }
}
