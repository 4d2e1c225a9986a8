//! Ring buffers, from which programs tell what happens.

use aya::maps::{Map as AnyMap, MapData, RingBuf};

use super::{Pins, map::MapError};

/// Opens the reading end of a pinned one. What nobody has read yet comes first.
pub(super) fn ring(pins: &Pins, name: &str) -> Result<RingBuf<MapData>, MapError> {
    MapData::from_pin(pins.dir().join(name))
        .and_then(|data| RingBuf::try_from(AnyMap::RingBuf(data)))
        .map_err(|source| MapError::Open {
            name: name.to_owned(),
            source,
        })
}
