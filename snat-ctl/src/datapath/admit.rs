//! Whether a datapath that is pinned already is one that this program can take over.

use std::collections::BTreeMap;

use aya::{EbpfError, maps::MapInfo};
use aya_obj::Object;
use snat_common::{Settings, settings::ABI_VERSION};

use super::{
    Pins,
    load::{LoadError, object},
    map::{Map, MapError, value},
    pins::MAPS,
};
use crate::instance::recorded_interfaces;

/// In what way the pinned maps are of another version of this program, if they are.
///
/// # Errors
///
/// [`MapError`].
pub fn foreign_abi(pins: &Pins) -> Result<Option<String>, MapError> {
    let settings = Map::open(pins.dir(), "SETTINGS")?.get(&0_u32.to_ne_bytes())?;
    // The first field, however long the rest is in that version.
    let abi = settings.map_or(0, |bytes| value(&bytes[..size_of::<u32>()]));
    // 0: made, and the control plane was killed before it wrote to it.
    let foreign = abi != ABI_VERSION && abi != 0;
    Ok(foreign.then(|| format!("its ABI version is {abi}, this snat-ctl's is {ABI_VERSION}")))
}

const _: () = assert!(std::mem::offset_of!(Settings, abi) == 0);

/// Sees to it that what is pinned can be taken over, or that nothing is. `sizes` are those that the
/// configuration chooses.
pub(super) fn admit(pins: &Pins, sizes: &[(&str, u32)]) -> Result<(), LoadError> {
    // First: another version's maps differ in number and layout, and it is the version that explains it.
    if pins.dir().join("SETTINGS").exists()
        && let Some(reason) = foreign_abi(pins)?
    {
        return Err(incompatible(pins, reason));
    }
    if pins.complete() {
        return compare(pins, sizes);
    }
    if pins.exists() && may_be_attached(pins) {
        return Err(incompatible(
            pins,
            "maps are missing beside attached programs".to_owned(),
        ));
    }
    // Left by a start that was killed half-way: nothing is attached, so nothing is lost.
    pins.remove()?;
    Ok(())
}

/// Filters on clsact have no pins; the record alone knows of them.
fn may_be_attached(pins: &Pins) -> bool {
    !pins.link_names().is_empty() || !recorded_interfaces(&pins.name()).is_empty()
}

/// The pinned maps must be what this object would make: the library takes over anything of that name.
fn compare(pins: &Pins, sizes: &[(&str, u32)]) -> Result<(), LoadError> {
    let object = Object::parse(object()).map_err(EbpfError::from)?;
    let wanted: BTreeMap<_, _> = object.maps.iter().collect();
    for name in MAPS {
        let Some(map) = wanted.get(&name.to_owned()) else {
            continue;
        };
        let info = MapInfo::from_pin(pins.dir().join(name)).map_err(|source| MapError::Open {
            name: name.to_owned(),
            source,
        })?;
        let sized = sizes.iter().find(|(sized, _)| *sized == name);
        let max_entries = sized.map_or(map.max_entries(), |(_, size)| *size);
        if name == "FLOWS" && info.max_entries() != max_entries {
            let (now, wanted) = (info.max_entries() / 2, max_entries / 2);
            return Err(incompatible(
                pins,
                format!(
                    "its table has room for {now} flows, the configuration's gateway.max_flows says {wanted}"
                ),
            ));
        }
        let found = (info.key_size(), info.value_size(), info.max_entries());
        if found != (map.key_size(), map.value_size(), max_entries) {
            return Err(incompatible(
                pins,
                format!("map {name} is laid out differently"),
            ));
        }
    }
    Ok(())
}

fn incompatible(pins: &Pins, reason: String) -> LoadError {
    LoadError::Incompatible {
        dir: pins.dir().display().to_string(),
        name: pins.name(),
        reason,
    }
}
