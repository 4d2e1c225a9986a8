//! Sources and destinations.

use super::{Column, Listing, Row, Tone, Words, measured};
use crate::{
    cli::top::{
        TopSort::{Address, Bytes, Flows, Packets, Rate},
        View,
    },
    commands::{top::state::State, words::bare},
    datapath::{Found, Talker},
};

/// Characters for the whole of the traffic.
const BAR: u16 = 40;

macro_rules! columns {
    ($who:literal) => {
        &[
            Column::words($who, 15, Some(Address)),
            Column::number("FLOWS", 8, Some(Flows)),
            Column::number("OUT BIT/S", 10, None),
            Column::number("IN BIT/S", 10, None),
            Column::number("BIT/S", 10, Some(Rate)),
            Column::number("PKT/S", 10, Some(Packets)),
            Column::number("BYTES", 10, Some(Bytes)),
            Column::number("SHARE", 7, None).from(100),
            Column::words("", BAR, None).from(150),
        ]
    };
}

const SOURCES: &[Column] = columns!("CLIENT");
const DESTINATIONS: &[Column] = columns!("SERVER");

pub(super) fn sources(state: &State) -> Listing {
    let listing = Listing::none(
        SOURCES,
        Words {
            one: "client",
            several: "clients",
            none: "no clients with flows",
        },
    );
    let found = state.traffic.as_ref();
    let all = found.map(|found| (found, &found.clients, found.clients_matched));
    list(listing, state, View::Sources, all)
}

pub(super) fn destinations(state: &State) -> Listing {
    let listing = Listing::none(
        DESTINATIONS,
        Words {
            one: "server",
            several: "servers",
            none: "no servers with flows",
        },
    );
    let found = state.traffic.as_ref();
    let all = found.map(|found| (found, &found.servers, found.servers_matched));
    list(listing, state, View::Destinations, all)
}

fn list(
    listing: Listing,
    state: &State,
    view: View,
    all: Option<(&Found, &Vec<Talker>, u64)>,
) -> Listing {
    let listing = Listing {
        is_filtered: true,
        ..listing
    };
    let Some((found, talkers, of)) = all else {
        return listing;
    };
    let (sort, reverse) = state.orders.talkers(view);
    let mut talkers: Vec<_> = talkers.iter().collect();
    talkers.sort_by(|a, b| sort.compare(reverse, a, b));
    let row = |talker: &&Talker| row(talker, found);
    Listing {
        rows: talkers.iter().map(row).collect(),
        of: Some(of),
        ..listing
    }
}

fn row(talker: &Talker, found: &Found) -> Row {
    let bits = talker.bits_out.map(|_| talker.bits());
    let share = bits.map(|bits| 100.0 * bits / found.bits_per_second.max(1.0));
    let tone = match bits {
        Some(0.0) => Tone::Faint,
        _ => Tone::Plain,
    };
    Row::new(
        tone,
        [
            talker.address.to_string(),
            talker.flows.to_string(),
            measured(talker.bits_out, bare),
            measured(talker.bits_in, bare),
            measured(bits, bare),
            measured(talker.packets, bare),
            bare(talker.bytes as f64),
            measured(share, |share| format!("{share:.1} %")),
            bar(share.unwrap_or_default()),
        ],
    )
}

fn bar(percent: f64) -> String {
    "#".repeat((percent / 100.0 * f64::from(BAR)).round() as usize)
}
