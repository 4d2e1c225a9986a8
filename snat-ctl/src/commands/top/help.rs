//! What the keys are.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Stylize as _,
    text::{Line, Span},
    widgets::{Paragraph, Widget as _},
};

use super::state::State;

const KEYS: &[(&str, &str)] = &[
    ("1-5, tab", "sources, destinations, pools, drops, flows"),
    ("s", "sort by something else: its title is underlined"),
    ("r", "the other way round"),
    (
        "/",
        "filter, as source=172.16.4.0/24 port=80,443 protocol=tcp",
    ),
    (
        "",
        "words: source destination external source-port port external-port",
    ),
    ("", "protocol state eni min-age max-age min-idle min-rate"),
    ("p", "pause, and go on"),
    ("+ -", "look less often, more often"),
    ("up, down", "scroll; also page up, page down, home"),
    ("q", "quit"),
];

/// All of them, instead of a view.
pub(super) fn render(area: Rect, buffer: &mut Buffer) {
    let keys = KEYS.iter().map(|(key, does)| {
        let key = Span::raw(format!("  {key:<10}")).bold();
        Line::from(vec![key, Span::raw(*does)])
    });
    let about = [
        Line::default(),
        Line::raw("out is from clients, in is to them; bits are those of IP packets."),
        Line::raw("A filter is for sources, destinations and flows. Any key leads back."),
    ];
    let text: Vec<_> = keys.chain(about).collect();
    Paragraph::new(text).render(area, buffer);
}

/// The last line of the screen.
pub(super) fn keys(state: &State) -> Line<'static> {
    let keys: &[(&str, &str)] = if state.editing.is_some() {
        &[
            ("enter", "filter"),
            ("esc", "leave it as it was"),
            ("ctrl-u", "clear"),
        ]
    } else {
        &[
            ("1-5 tab", "view"),
            ("s", "sort"),
            ("r", "reverse"),
            ("/", "filter"),
            ("p", "pause"),
            ("+ -", "interval"),
            ("?", "help"),
            ("q", "quit"),
        ]
    };
    let spans = keys.iter().flat_map(|(key, does)| {
        [
            Span::raw(*key).bold(),
            Span::raw(format!(" {does}  ")).dim(),
        ]
    });
    Line::from_iter(spans)
}
