//! External ports: each address and protocol, and the destinations towards which most are taken.

use std::{cmp::Ordering, net::Ipv4Addr};

use super::{Column, Listing, Row, Tone, Words, short};
use crate::{
    cli::top::{
        TopSort::{Address, Growth, Used},
        View,
    },
    commands::{
        top::{orders::ViewOrder, state::State},
        words::{endpoint, growth, percent},
    },
    datapath::{Destination, Growing, Pool},
};

const COLUMNS: &[Column] = &[
    Column::words("EXTERNAL", 15, Some(Address)),
    Column::words("PROTO", 8, None),
    Column::words("TOWARDS", 21, None),
    Column::number("USED", 6, None),
    Column::number("RESTING", 7, None).from(100),
    Column::number("FREE", 6, None),
    Column::number("CAPACITY", 8, None).from(100),
    Column::number("USED %", 6, Some(Used)),
    Column::number("GROWTH", 11, Some(Growth)).from(100),
    Column::number("EXHAUSTED", 9, None),
];

/// Taken ports of all, from which it is told.
const HIGH: f64 = 0.8;

pub(super) fn list(state: &State) -> Listing {
    let mut listing = Listing::none(
        COLUMNS,
        Words {
            one: "pool",
            several: "pools and destinations",
            none: "no pools: no [[snat]] entry has an external address",
        },
    );
    if let Some(outlook) = &state.ports {
        let pools = outlook.pools.iter().map(pool);
        let destinations = outlook.destinations.iter().map(destination);
        let mut uses: Vec<_> = pools.chain(destinations).collect();
        let order = state.orders.of(View::Pools);
        uses.sort_by(|a, b| compare(order, a, b));
        listing.rows = uses.iter().map(row).collect();
        listing.of = Some(listing.rows.len() as u64);
    }
    listing
}

/// Ports of an address and protocol, towards all servers or one.
struct Use {
    external: Ipv4Addr,
    protocol: &'static str,
    towards: String,
    used: u64,
    resting: Option<u64>,
    free: u64,
    capacity: u64,
    growth: f64,
    exhausted: Option<f64>,
}

impl Use {
    fn share(&self) -> f64 {
        (self.capacity - self.free.min(self.capacity)) as f64 / self.capacity.max(1) as f64
    }
}

fn pool(pool: &Growing<Pool>) -> Use {
    Use {
        external: pool.what.external,
        protocol: pool.what.protocol,
        towards: "all servers".to_owned(),
        used: pool.what.used,
        resting: Some(pool.what.resting),
        free: pool.what.free,
        capacity: pool.what.capacity,
        growth: pool.growth_per_second,
        exhausted: pool.exhausted_in_seconds,
    }
}

fn destination(destination: &Growing<Destination>) -> Use {
    let to = &destination.what;
    Use {
        external: to.external,
        protocol: to.protocol,
        towards: endpoint(to.server, to.server_port),
        used: to.used,
        resting: None,
        free: to.free,
        capacity: to.capacity,
        growth: destination.growth_per_second,
        exhausted: destination.exhausted_in_seconds,
    }
}

/// What is alike stays as it came: pools before destinations.
fn compare(order: ViewOrder, a: &Use, b: &Use) -> Ordering {
    let by = match order.sort {
        Growth => b.growth.total_cmp(&a.growth),
        Address => (a.external, a.protocol).cmp(&(b.external, b.protocol)),
        _ => b.share().total_cmp(&a.share()),
    };
    if order.reverse { by.reverse() } else { by }
}

fn row(of: &Use) -> Row {
    let tone = match of.share() {
        share if of.free == 0 && share > 0.0 => Tone::Bad,
        share if share >= HIGH => Tone::Warning,
        _ if of.used == 0 => Tone::Faint,
        _ => Tone::Plain,
    };
    let exhausted = match of.exhausted {
        None => "-".to_owned(),
        Some(0.0) => "now".to_owned(),
        Some(seconds) => format!("in {}", short(seconds)),
    };
    Row::new(
        tone,
        [
            of.external.to_string(),
            of.protocol.to_owned(),
            of.towards.clone(),
            of.used.to_string(),
            of.resting
                .map_or("-".to_owned(), |resting| resting.to_string()),
            of.free.to_string(),
            of.capacity.to_string(),
            percent(of.capacity.saturating_sub(of.free), of.capacity),
            growth(of.growth),
            exhausted,
        ],
    )
}
