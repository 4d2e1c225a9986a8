//! The values of one scrape.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use snat_common::Settings;

use crate::{
    datapath::{self, Map, MapError, Pins, Pool, Room, Totals, value},
    instance::{self, Record, RecordedInterface},
};

/// What was counted in the tables, and when.
#[derive(Clone, Debug)]
pub struct Census {
    /// What.
    pub counted: Arc<datapath::Census>,
    /// When it was done.
    pub at: SystemTime,
}

/// All values, as they are read.
#[derive(Debug)]
pub struct Sample {
    pub(super) name: String,
    pub(super) daemon: bool,
    pub(super) interfaces: Vec<RecordedInterface>,
    pub(super) verdicts: Totals,
    pub(super) events: BTreeMap<&'static str, u64>,
    /// Elements as [`snat_common::tries`] says.
    pub(super) tries: Vec<u64>,
    /// By the table's name.
    pub(super) tables: Vec<(&'static str, Room)>,
    pub(super) pools: Vec<Pool>,
    pub(super) generation: u32,
    pub(super) abi: u32,
    /// None yet: the daemon has just begun.
    pub(super) census: Option<Census>,
    /// Of the daemon that serves this; `None` where none does.
    pub(super) sweeps: Option<Sweeps>,
    /// How long reading took.
    pub(super) took: Duration,
}

/// How the daemon's sweeps went.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sweeps {
    /// How long the last one took.
    pub last: Duration,
    /// How many did not succeed.
    pub failed: u64,
}

impl Sample {
    /// Reads the instance's maps, and counts what is in its tables: for who has no daemon.
    ///
    /// # Errors
    ///
    /// [`MapError`].
    pub fn take(name: &str) -> Result<Self, MapError> {
        let begun = Instant::now();
        let counted = Arc::new(datapath::Census::take(&Pins::of(name))?);
        let at = SystemTime::now();
        let census = Some(Census { counted, at });
        let sample = Self::read(name, instance::daemon(name).is_some(), census, None)?;
        Ok(Self {
            took: begun.elapsed(),
            ..sample
        })
    }

    /// Reads what needs no walk over the tables.
    ///
    /// # Errors
    ///
    /// [`MapError`].
    pub(super) fn read(
        name: &str,
        daemon: bool,
        census: Option<Census>,
        sweeps: Option<Sweeps>,
    ) -> Result<Self, MapError> {
        let begun = Instant::now();
        let pins = &Pins::of(name);
        let only = 0_u32.to_ne_bytes();
        let settings = Map::open(pins.dir(), "SETTINGS")?.get(&only)?;
        let settings = settings.map_or(Settings::unset(), |bytes| value(&bytes));
        let pools = census.as_ref().map(|census| census.counted.pools(pins));
        let pools = pools.transpose()?.unwrap_or_default();
        Ok(Self {
            name: name.to_owned(),
            daemon,
            interfaces: Record::read(name).map_or_else(Vec::new, |record| record.interfaces),
            verdicts: datapath::totals(pins)?,
            events: datapath::events(pins)?,
            tries: datapath::claim_tries(pins)?,
            tables: tables(pins, census.as_ref())?,
            pools,
            generation: settings.generation,
            abi: settings.abi,
            census,
            sweeps,
            took: begun.elapsed(),
        })
    }
}

/// How full they are, as far as it is known.
fn tables(pins: &Pins, census: Option<&Census>) -> Result<Vec<(&'static str, Room)>, MapError> {
    let (flows, clients) = datapath::crowd(pins)?;
    let mut tables = vec![("flows", flows), ("clients", clients)];
    if let Some(census) = census {
        let elements = census.counted.mapping_elements();
        tables.push(("mappings", datapath::mapping_room(pins, elements)?));
    }
    Ok(tables)
}
