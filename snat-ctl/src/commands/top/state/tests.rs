use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::super::{
    fixture::{looking, seen, started},
    look::Seen,
};
use crate::cli::top::View;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn one_look_at_a_time_and_the_next_an_interval_after_the_beginning_of_the_last() {
    let mut state = started(&["--interval", "2s"]);
    let begin = Instant::now();
    assert!(state.ask(begin).is_some());
    assert!(state.ask(begin + 60 * SECOND).is_none(), "one is under way");
    state.take(Ok(seen()), begin + SECOND / 4);
    assert!(state.ask(begin + SECOND).is_none());
    assert!(state.ask(begin + 2 * SECOND).is_some());
}

#[test]
fn looks_take_a_fifth_of_the_time_at_most() {
    let mut state = started(&["--interval", "2s"]);
    let begin = Instant::now();
    state.ask(begin);
    state.take(
        Ok(Seen {
            took: 2 * SECOND,
            ..seen()
        }),
        begin + 2 * SECOND,
    );
    assert_eq!(state.stretched(), Some(2 * SECOND));
    assert!(state.ask(begin + 9 * SECOND).is_none());
    assert!(state.ask(begin + 10 * SECOND).is_some());
}

#[test]
fn a_first_look_is_soon_followed_by_one_that_knows_rates() {
    let mut state = started(&["--interval", "60s"]);
    let begin = Instant::now();
    state.ask(begin);
    state.take(
        Ok(Seen {
            rates: None,
            ..seen()
        }),
        begin,
    );
    assert!(state.ask(begin + SECOND).is_some());
}

#[test]
fn what_is_asked_for_while_a_look_is_under_way_is_looked_at_after_it() {
    let mut state = started(&["--interval", "60s"]);
    let begin = Instant::now();
    state.ask(begin);
    state.view = View::Pools;
    state.hurry(begin);
    state.take(Ok(seen()), begin);
    assert!(state.ask(begin).expect("at once").ports);
}

#[test]
fn only_what_is_shown_is_looked_at() {
    let asked = |view: &str| {
        let asked = started(&["--view", view]).asked();
        (asked.traffic.is_some(), asked.ports)
    };
    assert_eq!(asked("sources"), (true, false));
    assert_eq!(asked("destinations"), (true, false));
    assert_eq!(asked("flows"), (true, false));
    assert_eq!(asked("pools"), (false, true));
    assert_eq!(asked("drops"), (false, false));
}

#[test]
fn a_gateway_that_is_gone_is_looked_for_every_second() {
    let mut state = looking(&["--interval", "60s"]);
    let begin = Instant::now();
    state.take(Err(anyhow!("gone")), begin);
    assert!(state.ask(begin + SECOND / 2).is_none());
    assert!(state.ask(begin + SECOND).is_some());
}
