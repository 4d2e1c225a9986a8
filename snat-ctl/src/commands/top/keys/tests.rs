use std::time::{Duration, Instant};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    super::{
        fixture::{looking, seen},
        state::State,
    },
    Then, press,
};
use crate::cli::top::{TopSort, View};

fn keys(state: &mut State, keys: impl IntoIterator<Item = KeyCode>) {
    for key in keys {
        assert_eq!(press(state, key.into(), Instant::now()), Then::GoOn);
    }
}

fn text(state: &mut State, text: &str) {
    keys(state, text.chars().map(KeyCode::Char));
}

#[test]
fn views_are_chosen_by_number_and_in_turn_both_ways() {
    let mut state = looking(&[]);
    text(&mut state, "4");
    assert_eq!(state.view, View::Drops);
    keys(&mut state, [KeyCode::Tab, KeyCode::Tab]);
    assert_eq!(state.view, View::Sources);
    keys(&mut state, [KeyCode::BackTab]);
    assert_eq!(state.view, View::Flows);
}

#[test]
fn each_view_has_an_order_of_its_own_that_goes_round() {
    let mut state = looking(&[]);
    for view in View::ALL {
        state.view = view;
        let first = state.orders.of(view);
        for sort in view.sorts() {
            assert_eq!(state.orders.of(view).sort, *sort);
            text(&mut state, "s");
        }
        assert_eq!(state.orders.of(view), first);
    }
    text(&mut state, "r");
    assert!(state.orders.of(View::Flows).reverse);
    assert!(!state.orders.of(View::Sources).reverse);
}

#[test]
fn a_filter_is_taken_when_it_is_one_and_else_stays_to_be_mended() {
    let mut state = looking(&["--filter", "port=443"]);
    text(&mut state, "/");
    keys(&mut state, [KeyCode::Backspace; 3]);
    text(&mut state, "q");
    keys(&mut state, [KeyCode::Enter]);
    let line = state.editing.clone().expect("still there");
    assert_eq!(line.text, "port=q");
    assert!(line.error.expect("why").contains("not a port"));
    keys(&mut state, [KeyCode::Backspace]);
    text(&mut state, "80 state=established");
    keys(&mut state, [KeyCode::Enter]);
    assert_eq!(
        (&state.editing, &*state.selection.text),
        (&None, "port=80 state=established")
    );
    assert_eq!(state.selection.filter.port, [80]);
    text(&mut state, "/x");
    keys(&mut state, [KeyCode::Esc]);
    assert_eq!(state.selection.filter.port, [80]);
}

#[test]
fn a_pause_looks_at_nothing_until_it_ends() {
    let mut state = looking(&[]);
    let later = Instant::now() + Duration::from_secs(60);
    text(&mut state, "p");
    assert!(state.ask(later).is_none());
    text(&mut state, "p");
    assert!(state.ask(later).is_some());
}

#[test]
fn intervals_grow_and_shrink_within_bounds() {
    let mut state = looking(&["--interval", "3s"]);
    for (key, seconds) in [("+", 5.0), ("-", 2.0), ("-", 1.0), ("-", 0.5), ("-", 0.5)] {
        text(&mut state, key);
        assert_eq!(state.interval.as_secs_f64(), seconds);
    }
    text(&mut state, "+++++++++");
    assert_eq!(state.interval, Duration::from_secs(60));
}

#[test]
fn scrolling_ends_at_the_last_row_and_begins_anew_in_another_view() {
    let mut state = looking(&["--view", "flows"]);
    keys(&mut state, [KeyCode::PageDown]);
    assert_eq!(state.scroll, 2);
    keys(&mut state, [KeyCode::Up]);
    assert_eq!(state.scroll, 1);
    text(&mut state, "1");
    assert_eq!(state.scroll, 0);
    let mut shorter = seen();
    shorter.traffic = Some(crate::datapath::Found::default());
    keys(&mut state, [KeyCode::Down]);
    state.take(Ok(shorter), Instant::now());
    assert_eq!(
        state.scroll, 0,
        "what was scrolled to is not there any more"
    );
}

#[test]
fn q_and_ctrl_c_quit_but_a_filter_may_have_a_q() {
    let q = KeyEvent::from(KeyCode::Char('q'));
    let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    let mut state = looking(&[]);
    assert_eq!(press(&mut state, q, Instant::now()), Then::Quit);
    text(&mut state, "?");
    assert_eq!(press(&mut state, q, Instant::now()), Then::Quit);
    text(&mut state, "/");
    assert_eq!(press(&mut state, q, Instant::now()), Then::GoOn);
    assert_eq!(press(&mut state, ctrl_c, Instant::now()), Then::Quit);
}

#[test]
fn another_order_is_looked_for_at_once_since_others_may_be_the_first_then() {
    let mut state = looking(&["--interval", "60s"]);
    assert!(state.ask(Instant::now()).is_none());
    text(&mut state, "s");
    let asked = state.ask(Instant::now()).expect("asked");
    let sort = asked.traffic.expect("a walk").clients.0;
    assert_eq!(sort, crate::datapath::TalkerSort::Packets);
    assert_eq!(state.orders.of(View::Sources).sort, TopSort::Packets);
}
