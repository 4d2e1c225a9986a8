//! What keys do.

use std::time::{Duration, Instant};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::state::{Editing, State};
use crate::cli::top::{Selection, View};

/// Intervals that `+` and `-` choose between.
const INTERVALS: [Duration; 7] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
];
/// Rows that a page scrolls.
const PAGE: usize = 10;

/// What comes after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    GoOn,
    Quit,
}

pub(super) fn press(state: &mut State, key: KeyEvent, now: Instant) -> Then {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    if control && key.code == KeyCode::Char('c') {
        return Then::Quit;
    }
    if let Some(editing) = state.editing.take() {
        state.editing = edit(state, editing, key, now);
        return Then::GoOn;
    }
    if state.help {
        state.help = false;
        return if key.code == KeyCode::Char('q') {
            Then::Quit
        } else {
            Then::GoOn
        };
    }
    match key.code {
        KeyCode::Char('q') => return Then::Quit,
        KeyCode::Char(digit @ '1'..='5') => {
            view(state, View::ALL[digit as usize - '1' as usize], now);
        }
        KeyCode::Tab | KeyCode::Right => turn(state, 1, now),
        KeyCode::BackTab | KeyCode::Left => turn(state, View::ALL.len() - 1, now),
        KeyCode::Char('s') => {
            state.orders.next(state.view);
            sort(state, now);
        }
        KeyCode::Char('r') => {
            state.orders.reverse(state.view);
            sort(state, now);
        }
        KeyCode::Char('/') => {
            state.editing = Some(Editing {
                text: state.selection.text.clone(),
                error: None,
            });
        }
        KeyCode::Char('p' | ' ') => state.paused ^= true,
        KeyCode::Char('+' | '=') => pace(state, INTERVALS.iter().find(|at| **at > state.interval)),
        KeyCode::Char('-') => {
            pace(
                state,
                INTERVALS.iter().rev().find(|at| **at < state.interval),
            );
        }
        KeyCode::Char('?' | 'h') => state.help = true,
        KeyCode::Down | KeyCode::Char('j') => state.scroll += 1,
        KeyCode::Up | KeyCode::Char('k') => state.scroll = state.scroll.saturating_sub(1),
        KeyCode::PageDown => state.scroll += PAGE,
        KeyCode::PageUp => state.scroll = state.scroll.saturating_sub(PAGE),
        KeyCode::Home => state.scroll = 0,
        _ => {}
    }
    state.bound_scroll();
    Then::GoOn
}

fn view(state: &mut State, view: View, now: Instant) {
    (state.view, state.scroll) = (view, 0);
    state.hurry(now);
}

/// To the view that comes so many later.
fn turn(state: &mut State, by: usize, now: Instant) {
    let at = (state.view as usize + by) % View::ALL.len();
    view(state, View::ALL[at], now);
}

/// Lists hold the first of an order: with another order others may belong there.
fn sort(state: &mut State, now: Instant) {
    state.scroll = 0;
    state.hurry(now);
}

fn pace(state: &mut State, interval: Option<&Duration>) {
    if let Some(interval) = interval {
        state.interval = *interval;
    }
}

/// The line after the key; none once it is taken or given up.
fn edit(state: &mut State, line: Editing, key: KeyEvent, now: Instant) -> Option<Editing> {
    let Editing { mut text, .. } = line;
    match key.code {
        KeyCode::Esc => return None,
        KeyCode::Enter => match text.parse::<Selection>() {
            Ok(selection) => {
                (state.selection, state.scroll) = (selection, 0);
                state.hurry(now);
                return None;
            }
            Err(error) => {
                let error = Some(error.to_string());
                return Some(Editing { text, error });
            }
        },
        KeyCode::Backspace => drop(text.pop()),
        KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => text.clear(),
        KeyCode::Char(char) => text.push(char),
        _ => {}
    }
    Some(Editing { text, error: None })
}

#[cfg(test)]
mod tests;
