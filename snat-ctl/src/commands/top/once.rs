//! One screen as text, and what is on all of them as JSON.

use std::{
    env,
    io::{IsTerminal as _, stdout},
    thread,
    time::Instant,
};

use ratatui::{buffer::Buffer, crossterm::terminal, layout::Rect, widgets::Widget as _};

use super::{
    look::{Asked, Looker},
    orders::Orders,
    screen::Screen,
    state::{self, State},
};
use crate::{cli::top::TopArgs, output};

/// Prints the screen, after two looks.
pub(super) fn screen(looker: &mut Looker, state: &mut State) -> anyhow::Result<()> {
    let asked = state.asked();
    looker.look(&asked)?;
    thread::sleep(state.interval);
    state.take(Ok(looker.look(&asked)?), Instant::now());
    let (columns, lines) = size();
    output::print(&text(state, columns, lines))
}

/// Prints what every view shows.
pub(super) fn json(looker: &mut Looker, args: &TopArgs, orders: Orders) -> anyhow::Result<()> {
    let asked = Asked {
        traffic: Some(state::wanted(&args.filter.filter, &orders)),
        ports: true,
    };
    looker.look(&asked)?;
    thread::sleep(args.interval);
    output::print_json(&looker.look(&asked)?)
}

/// The screen of that size, without spaces that nobody sees.
pub(super) fn text(state: &State, columns: u16, lines: u16) -> String {
    let area = Rect::new(0, 0, columns, lines);
    let mut buffer = Buffer::empty(area);
    Screen(state).render(area, &mut buffer);
    let line = |y| {
        let cells = (0..columns).map(|x| buffer[(x, y)].symbol());
        cells.collect::<String>().trim_end().to_owned()
    };
    let all: Vec<_> = (0..lines).map(line).collect();
    all.join("\n").trim_end().to_owned() + "\n"
}

/// As what prints tables elsewhere does: the environment's word, else the terminal's, else 80x24.
fn size() -> (u16, u16) {
    let said = |name| env::var(name).ok()?.parse().ok().filter(|size| *size > 0);
    let terminal = stdout().is_terminal().then(terminal::size);
    let (columns, lines) = terminal.and_then(Result::ok).unwrap_or((80, 24));
    (
        said("COLUMNS").unwrap_or(columns),
        said("LINES").unwrap_or(lines),
    )
}
