//! The screen, whatever its size: state in, characters out.

use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    style::Stylize as _,
    text::{Line, Span},
    widgets::{Paragraph, Widget, Wrap},
};

use super::{
    heading, help,
    listing::{self, Listing},
    orders::ViewOrder,
    state::{Editing, State},
};
use crate::cli::top::{View, word};

/// What every row needs.
const LEAST: (u16, u16) = (80, 12);

pub(super) struct Screen<'a>(pub(super) &'a State);

impl Widget for Screen<'_> {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let state = self.0;
        if area.width < LEAST.0 || area.height < LEAST.1 {
            return too_small(area, buffer);
        }
        let parts = [
            Constraint::Length(heading::LINES),
            Constraint::Length(1),
            Constraint::Min(1),
            Constraint::Length(1),
            Constraint::Length(1),
        ];
        let [head, tabs, body, note, keys] = Layout::vertical(parts).areas(area);
        heading::render(state, head, buffer);
        if state.help {
            help::render(tabs.union(body), buffer);
        } else if let Some(trouble) = &state.trouble {
            waiting(trouble, tabs.union(body), buffer);
        } else {
            let listing = listing::of(state);
            views(state, tabs, buffer);
            listing.render(state, body, buffer);
            match &state.editing {
                Some(editing) => line(editing, note, buffer),
                None => below(state, &listing, note, buffer),
            }
        }
        help::keys(state).render(keys, buffer);
    }
}

fn too_small(area: Rect, buffer: &mut Buffer) {
    let (width, height) = LEAST;
    let text = format!(
        "snat-ctl top needs {width}x{height} characters; this terminal has {}x{}. q quits.",
        area.width, area.height
    );
    let text = Paragraph::new(text).wrap(Wrap { trim: true });
    text.render(area, buffer);
}

fn waiting(trouble: &str, area: Rect, buffer: &mut Buffer) {
    let text = vec![
        Line::default(),
        Line::from("Nothing to see now:").bold(),
        Line::from(trouble.to_owned()),
        Line::default(),
        Line::from("Waiting; this goes on by itself when the gateway is back."),
    ];
    let text = Paragraph::new(text).wrap(Wrap { trim: true });
    text.render(area, buffer);
}

/// The views, and the order of the one that is shown.
fn views(state: &State, area: Rect, buffer: &mut Buffer) {
    let views = View::ALL.iter().zip(1..).flat_map(|(view, key)| {
        let title = listing::title(*view);
        // Brackets: to be seen without colours, too.
        let tab = if *view == state.view {
            Span::raw(format!("[{key} {title}]")).bold().reversed()
        } else {
            Span::raw(format!(" {key} {title} "))
        };
        [tab, Span::raw(" ")]
    });
    Line::from_iter(views).render(area, buffer);
    let ViewOrder { sort, reverse } = state.orders.of(state.view);
    let reversed = if reverse { ", reversed" } else { "" };
    let order = Line::from(format!("by {}{reversed}", word(&sort)));
    order.right_aligned().render(area, buffer);
}

/// The filter, and how many there are.
fn below(state: &State, listing: &Listing, area: Rect, buffer: &mut Buffer) {
    let filter = match &state.selection.text {
        text if text.is_empty() => String::new(),
        text if listing.is_filtered => format!("filter: {text}"),
        text => format!("not for this view: {text}"),
    };
    Line::from(filter).yellow().render(area, buffer);
    let count = Line::from(listing.count(state.scroll));
    count.right_aligned().render(area, buffer);
}

/// A filter while it is written, and what is wrong with it.
fn line(editing: &Editing, area: Rect, buffer: &mut Buffer) {
    let mut spans = vec![
        Span::from("filter: ").bold(),
        Span::from(editing.text.as_str()),
        Span::from(" ").reversed(),
    ];
    spans.extend(
        editing
            .error
            .as_ref()
            .map(|error| Span::from(format!("  {error}")).red()),
    );
    Line::from(spans).render(area, buffer);
}

#[cfg(test)]
mod tests;
