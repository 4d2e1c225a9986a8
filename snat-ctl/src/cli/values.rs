//! Times that several verbs take.

use std::time::Duration;

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

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::Cli;

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
