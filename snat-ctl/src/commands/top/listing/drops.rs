//! Why packets were dropped.

use std::cmp::Ordering;

use super::{Column, Listing, Row, Tone, Words, measured};
use crate::{
    cli::top::{
        TopSort::{Name, Packets, Rate},
        View,
    },
    commands::{
        top::{look::Dropped, orders::ViewOrder, state::State},
        words::bare,
    },
};

const COLUMNS: &[Column] = &[
    Column::words("REASON", 18, Some(Name)),
    Column::number("PKT/S", 8, Some(Rate)),
    Column::number("PACKETS", 12, Some(Packets)),
    Column::words("MEANING", 0, None),
];

pub(super) fn list(state: &State) -> Listing {
    let mut listing = Listing::none(
        COLUMNS,
        Words {
            one: "reason",
            several: "reasons",
            none: "no packet was dropped since the datapath was loaded",
        },
    );
    if let Some(seen) = &state.seen {
        let order = state.orders.of(View::Drops);
        let mut drops: Vec<_> = seen.drops.iter().collect();
        drops.sort_by(|a, b| compare(order, a, b));
        listing.rows = drops.into_iter().map(row).collect();
        listing.of = Some(listing.rows.len() as u64);
    }
    listing
}

fn compare(order: ViewOrder, a: &Dropped, b: &Dropped) -> Ordering {
    let rate = |of: &Dropped| of.packets_per_second.unwrap_or_default();
    let by = match order.sort {
        Packets => b.packets.cmp(&a.packets),
        Name => a.reason.cmp(b.reason),
        _ => rate(b).total_cmp(&rate(a)).then(b.packets.cmp(&a.packets)),
    };
    let by = if order.reverse { by.reverse() } else { by };
    by.then_with(|| a.reason.cmp(b.reason))
}

fn row(dropped: &Dropped) -> Row {
    let tone = match dropped.packets_per_second {
        Some(rate) if rate > 0.0 => Tone::Warning,
        _ => Tone::Plain,
    };
    Row::new(
        tone,
        [
            dropped.reason.to_owned(),
            measured(dropped.packets_per_second, bare),
            dropped.packets.to_string(),
            dropped.meaning.to_owned(),
        ],
    )
}
