//! What became of packets: the counters, by verdict.

use std::collections::BTreeMap;

use snat_common::{Counter, Verdict};

use super::{
    Pins,
    map::{Map, MapError, value},
};

/// What leaves translated, and which way: ICMP errors about a flow's packets do, too.
const DIRECTIONS: [(&str, [Verdict; 2]); 2] = [
    ("out", [Verdict::TranslatedOut, Verdict::ErrorOut]),
    ("in", [Verdict::TranslatedIn, Verdict::ErrorIn]),
];

/// Packets and bytes by verdict's name, over all CPUs.
pub type Totals = BTreeMap<&'static str, (u64, u64)>;

/// Reads the counters.
///
/// # Errors
///
/// [`MapError`].
pub fn totals(pins: &Pins) -> Result<Totals, MapError> {
    let map = Map::open(pins.dir(), "VERDICTS")?;
    let mut totals = Totals::new();
    for verdict in Verdict::ALL {
        let per_cpu = map
            .get(&(*verdict as u32).to_ne_bytes())?
            .unwrap_or_default();
        let sum = per_cpu
            .chunks_exact(size_of::<Counter>())
            .map(value::<Counter>)
            .fold((0, 0), |(packets, bytes), counter| {
                (packets + counter.packets, bytes + counter.bytes)
            });
        totals.insert(verdict.name(), sum);
    }
    Ok(totals)
}

/// Packets and bytes that left translated, with Ethernet headers: `out` to servers, and `in` to clients.
#[must_use]
pub fn translated(totals: &Totals) -> [(&'static str, (u64, u64)); 2] {
    DIRECTIONS.map(|(direction, verdicts)| {
        let counts = verdicts.map(|verdict| totals.get(verdict.name()).copied());
        let counts = counts.into_iter().flatten();
        let sum = counts.fold((0, 0), |sum, (packets, bytes)| {
            (sum.0 + packets, sum.1 + bytes)
        });
        (direction, sum)
    })
}
