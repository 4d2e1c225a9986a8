//! The list of each view: columns that fit, rows in order.

mod drops;
mod flows;
mod pools;
mod talkers;

use std::time::Duration;

use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Rect},
    style::{Style, Stylize as _},
    text::{Line, Text},
    widgets::{Cell, Paragraph, Row as TableRow, Table, Widget as _},
};

use super::state::State;
use crate::{
    cli::top::{TopSort, View},
    output::wrap,
};

/// What a view lists.
pub(super) struct Listing {
    columns: &'static [Column],
    pub(super) rows: Vec<Row>,
    /// How many there are, rows or not; none before they were looked at.
    of: Option<u64>,
    words: Words,
    /// Whether the filter counts.
    pub(super) is_filtered: bool,
}

/// What the rows are.
#[derive(Clone, Copy)]
struct Words {
    one: &'static str,
    several: &'static str,
    none: &'static str,
}

/// A column; numbers are on the right of it.
struct Column {
    title: &'static str,
    /// Characters; 0 for all that is left, in as many lines as are needed.
    width: u16,
    is_number: bool,
    /// The order that is by this column.
    sort: Option<TopSort>,
    /// The least width of a screen that has it.
    from: u16,
}

/// What is written into the columns.
pub(super) struct Row {
    pub(super) cells: Vec<String>,
    tone: Tone,
}

/// How much a row matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tone {
    /// It does nothing now.
    Faint,
    Plain,
    Warning,
    Bad,
}

/// Width from which columns have more space between them.
const WIDE: u16 = 100;

/// What the view lists now.
pub(super) fn of(state: &State) -> Listing {
    match state.view {
        View::Sources => talkers::sources(state),
        View::Destinations => talkers::destinations(state),
        View::Pools => pools::list(state),
        View::Drops => drops::list(state),
        View::Flows => flows::list(state),
    }
}

/// The view's name.
pub(super) fn title(view: View) -> &'static str {
    match view {
        View::Sources => "Sources",
        View::Destinations => "Destinations",
        View::Pools => "Pools",
        View::Drops => "Drops",
        View::Flows => "Flows",
    }
}

impl Listing {
    /// Of nothing yet.
    fn none(columns: &'static [Column], words: Words) -> Self {
        Self {
            columns,
            rows: Vec::new(),
            of: None,
            words,
            is_filtered: false,
        }
    }

    /// How many there are, and where the rows on the screen begin.
    pub(super) fn count(&self, scroll: usize) -> String {
        let Words { one, several, .. } = self.words;
        let count = match self.of {
            None => return String::new(),
            Some(1) => format!("1 {one}"),
            Some(of) => format!("{of} {several}"),
        };
        match scroll {
            0 => count,
            above => format!("from {} of {count}", above + 1),
        }
    }

    pub(super) fn render(&self, state: &State, area: Rect, buffer: &mut Buffer) {
        let columns = self.columns.iter().enumerate();
        let shown: Vec<_> = columns
            .into_iter()
            .filter(|(_, column)| column.from <= area.width)
            .collect();
        let spacing = if area.width < WIDE { 1 } else { 2 };
        let taken: u16 = shown.iter().map(|(_, column)| column.width + spacing).sum();
        let left = area.width.saturating_sub(taken - spacing);
        let order = state.orders.of(state.view).sort;
        let titles = shown.iter().map(|(_, column)| column.head(order));
        let rows = self.rows.iter().skip(state.scroll);
        let rows = rows.map(|row| row.line(&shown, left));
        let widths = shown.iter().map(|(_, column)| match column.width {
            0 => Constraint::Fill(1),
            width => Constraint::Length(width),
        });
        Table::new(rows, widths)
            .header(TableRow::new(titles).reversed())
            .column_spacing(spacing)
            .render(area, buffer);
        if self.rows.is_empty() {
            let none = self.of.map_or("looking", |_| self.words.none);
            let below = Rect {
                y: area.y + 1,
                height: area.height - 1,
                ..area
            };
            Paragraph::new(none).dim().render(below, buffer);
        }
    }
}

impl Column {
    const fn words(title: &'static str, width: u16, sort: Option<TopSort>) -> Self {
        Self {
            title,
            width,
            is_number: false,
            sort,
            from: 0,
        }
    }

    const fn number(title: &'static str, width: u16, sort: Option<TopSort>) -> Self {
        Self {
            is_number: true,
            ..Self::words(title, width, sort)
        }
    }

    /// Only on screens so wide.
    const fn from(self, width: u16) -> Self {
        Self {
            from: width,
            ..self
        }
    }

    fn head(&self, order: TopSort) -> Cell<'static> {
        let style = if self.sort == Some(order) {
            Style::new().bold().underlined()
        } else {
            Style::new()
        };
        Cell::from(self.align(Line::styled(self.title, style)))
    }

    fn align<'a>(&self, line: Line<'a>) -> Line<'a> {
        if self.is_number {
            line.right_aligned()
        } else {
            line
        }
    }
}

impl Row {
    fn new(tone: Tone, cells: impl Into<Vec<String>>) -> Self {
        Self {
            cells: cells.into(),
            tone,
        }
    }

    /// The row in these columns, of which one may have that width.
    fn line(&self, columns: &[(usize, &Column)], left: u16) -> TableRow<'_> {
        let mut height = 1;
        let cells: Vec<_> = columns
            .iter()
            .map(|(index, column)| {
                let text = self.cells[*index].as_str();
                if column.width > 0 {
                    return Cell::from(column.align(Line::raw(text)));
                }
                let lines = wrap(text, left.into());
                height = height.max(lines.len());
                Cell::from(Text::from_iter(lines))
            })
            .collect();
        TableRow::new(cells)
            .height(height as u16)
            .style(self.tone.style())
    }
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Faint => Style::new().dim(),
            Self::Plain => Style::new(),
            Self::Warning => Style::new().yellow(),
            Self::Bad => Style::new().red().bold(),
        }
    }
}

/// In at most four characters: whole units of the largest.
fn short(seconds: f64) -> String {
    let seconds = Duration::from_secs(seconds as u64).as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", (seconds / 86_400).min(999)),
    }
}

/// What was measured, or that it was not yet.
fn measured(number: Option<f64>, write: fn(f64) -> String) -> String {
    number.map_or_else(|| "-".to_owned(), write)
}
