//! Flows one by one.

use super::{Column, Listing, Row, Tone, Words, measured, short};
use crate::{
    cli::top::TopSort::{Age, Bytes, Client, Idle, Packets, Rate, Server, State as ByState},
    commands::{
        top::state::State,
        words::{bare, endpoint},
    },
    datapath::Flow,
};

const COLUMNS: &[Column] = &[
    Column::words("PROTO", 5, None),
    Column::words("CLIENT", 21, Some(Client)),
    Column::words("EXTERNAL", 21, None).from(130),
    Column::words("SERVER", 21, Some(Server)),
    Column::words("STATE", 12, Some(ByState)),
    Column::words("ENI", 8, None).from(130),
    Column::number("BIT/S", 7, Some(Rate)),
    Column::number("BYTES", 9, Some(Bytes)).from(100),
    Column::number("PACKETS", 9, Some(Packets)).from(150),
    Column::number("AGE", 4, Some(Age)),
    Column::number("IDLE", 4, Some(Idle)),
];

pub(super) fn list(state: &State) -> Listing {
    let mut listing = Listing {
        is_filtered: true,
        ..Listing::none(
            COLUMNS,
            Words {
                one: "flow",
                several: "flows",
                none: "no flows",
            },
        )
    };
    if let Some(found) = &state.traffic {
        let order = state.orders.flows();
        let mut flows: Vec<_> = found.flows.iter().collect();
        flows.sort_by(|a, b| order.compare(a, b));
        listing.rows = flows.into_iter().map(row).collect();
        listing.of = Some(found.matched);
    }
    listing
}

fn row(flow: &Flow) -> Row {
    let tone = match flow.bits_per_second {
        Some(0.0) => Tone::Faint,
        _ => Tone::Plain,
    };
    Row::new(
        tone,
        [
            flow.protocol.to_string(),
            endpoint(flow.client, flow.client_port),
            endpoint(flow.external, flow.external_port),
            endpoint(flow.server, flow.server_port),
            flow.state.to_owned(),
            flow.eni.as_deref().unwrap_or("-").to_owned(),
            measured(flow.bits_per_second, bare),
            bare(flow.bytes() as f64),
            bare(flow.packets() as f64),
            short(flow.age_seconds),
            short(flow.idle_seconds),
        ],
    )
}
