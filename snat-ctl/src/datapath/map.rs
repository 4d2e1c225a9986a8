//! A pinned map, typed at each use.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd},
    path::Path,
};

use aya::maps::{MapData, MapInfo};

use super::{
    bpf::{self, Cursor, Layout},
    populate::Elements,
};

/// Elements of one batch.
const BATCH: u32 = 4096;

/// Why a map could not be used.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// It could not be opened.
    #[error("cannot open map {name}: {source}")]
    Open {
        /// The map.
        name: String,
        /// What the library said.
        source: aya::maps::MapError,
    },
    /// A system call on it failed.
    #[error("cannot {attempt} map {name}: {source}")]
    Use {
        /// The map.
        name: String,
        /// What was being done.
        attempt: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
    /// Its elements are not of the size this program knows.
    #[error(
        "map {name} has keys of {key} and values of {value} bytes: not of this version of snat-ctl"
    )]
    Size {
        /// The map.
        name: String,
        /// Bytes of a key.
        key: usize,
        /// Bytes of a value.
        value: usize,
    },
}

/// Types that are exactly their bytes: integers and arrays of them, no padding.
///
/// # Safety
/// Every byte of a value is initialized, and every pattern of bytes is a value.
pub(crate) unsafe trait Plain: Copy + 'static {}

// SAFETY: integers, arrays of integers, and `repr(C)` structs of those without padding (asserted where
// their sizes matter, in snat-common).
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for u64 {}
// SAFETY: as above.
unsafe impl Plain for [u64; 2] {}
// SAFETY: as above.
unsafe impl<const N: usize> Plain for [u8; N] {}
// SAFETY: as above.
unsafe impl Plain for snat_common::Settings {}
// SAFETY: as above.
unsafe impl Plain for snat_common::SnatEntry {}
// SAFETY: as above.
unsafe impl Plain for snat_common::Interface {}
// SAFETY: as above.
unsafe impl Plain for snat_common::Eni {}
// SAFETY: as above.
unsafe impl Plain for snat_common::Prefix {}
// SAFETY: as above.
unsafe impl Plain for snat_common::Counter {}
// SAFETY: as above.
unsafe impl Plain for snat_common::Mapping {}
// SAFETY: as above.
unsafe impl Plain for snat_common::Client {}
// SAFETY: as above.
unsafe impl Plain for snat_common::balance::Balance {}
// SAFETY: as above.
unsafe impl Plain for snat_common::report::Watch {}
// SAFETY: as above.
unsafe impl Plain for snat_common::report::Dropped {}
// SAFETY: as above.
unsafe impl Plain for snat_common::log::LogRecord {}

// SAFETY: as above.
unsafe impl Plain for snat_common::look::Question {}
// SAFETY: as above.
unsafe impl Plain for snat_common::look::Answer {}

/// Types that have bytes without being any of them: `Plain`, or with enums in them.
///
/// # Safety
/// Every byte of a value is initialized.
pub(crate) unsafe trait Bytes: Copy + 'static {}

// SAFETY: `Plain` is more.
unsafe impl<T: Plain> Bytes for T {}
// SAFETY: `repr(C)`, of integers and enums that are one, without padding.
unsafe impl Bytes for snat_common::FlowKey {}
// SAFETY: as above.
unsafe impl Bytes for snat_common::MappingKey {}
// SAFETY: as above.
unsafe impl Bytes for snat_common::BusyKey {}
// SAFETY: as above.
unsafe impl Bytes for snat_common::adopt::Adoption {}

/// A value's bytes.
pub(crate) fn bytes<T: Bytes>(value: &T) -> &[u8] {
    // SAFETY: `Bytes` has no uninitialized bytes.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// The value whose bytes these are.
///
/// # Panics
/// If there are not as many as the type has.
pub(crate) fn value<T: Plain>(bytes: &[u8]) -> T {
    assert_eq!(bytes.len(), size_of::<T>());
    // SAFETY: as many bytes as the type has, and any pattern will do.
    unsafe { bytes.as_ptr().cast::<T>().read_unaligned() }
}

/// An open map.
#[derive(Debug)]
pub struct Map {
    name: String,
    data: MapData,
    layout: Layout,
    max_entries: u32,
}

impl Map {
    /// Opens the map pinned as `dir/name`.
    ///
    /// # Errors
    ///
    /// [`MapError::Open`].
    pub fn open(dir: &Path, name: &str) -> Result<Self, MapError> {
        let failed = |source| MapError::Open {
            name: name.to_owned(),
            source,
        };
        let data = MapData::from_pin(dir.join(name)).map_err(failed)?;
        Self::new(name, data)
    }

    fn new(name: &str, data: MapData) -> Result<Self, MapError> {
        let failed = |source| MapError::Open {
            name: name.to_owned(),
            source,
        };
        let info = data.info().map_err(failed)?;
        let layout = Layout {
            key: info.key_size() as usize,
            value: exchanged(&info)?,
        };
        Ok(Self {
            name: name.to_owned(),
            data,
            layout,
            max_entries: info.max_entries(),
        })
    }

    /// Most elements.
    #[must_use]
    pub fn max_entries(&self) -> u32 {
        self.max_entries
    }

    /// Fails unless its values have so many bytes.
    pub(crate) fn expect_values(&self, len: usize) -> Result<(), MapError> {
        self.expect(self.layout.key, len)
    }

    /// Writes an element.
    pub(crate) fn set(&self, key: &[u8], value: &[u8]) -> Result<(), MapError> {
        self.expect(key.len(), value.len())?;
        bpf::update(self.fd(), self.layout, key, value).map_err(|error| self.failed("write", error))
    }

    /// Reads an element.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, MapError> {
        let mut value = vec![0; self.layout.value];
        Ok(self.read(key, &mut value)?.then_some(value))
    }

    /// Reads an element into `value`; false if there is none.
    pub(super) fn read(&self, key: &[u8], value: &mut [u8]) -> Result<bool, MapError> {
        self.expect(key.len(), value.len())?;
        bpf::lookup(self.fd(), self.layout, key, value)
            .map(|found| found.is_some())
            .map_err(|error| self.failed("read", error))
    }

    /// Removes an element, if there.
    pub(crate) fn remove(&self, key: &[u8]) -> Result<(), MapError> {
        self.expect(key.len(), self.layout.value)?;
        bpf::delete(self.fd(), self.layout, key)
            .map(drop)
            .map_err(|error| self.failed("remove an element from", error))
    }

    /// All keys of a map that nobody changes meanwhile.
    pub(crate) fn keys(&self) -> Result<Vec<Vec<u8>>, MapError> {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        while keys.len() <= self.max_entries as usize {
            let mut next = vec![0; self.layout.key];
            let last = keys.last().map(Vec::as_slice);
            let found = bpf::next_key(self.fd(), self.layout, last, &mut next)
                .map_err(|error| self.failed("list", error))?;
            if found.is_none() {
                break;
            }
            keys.push(next);
        }
        Ok(keys)
    }

    /// Calls `visit` with key and value of every element of a hash map, however busy it is.
    pub(super) fn for_each(&self, mut visit: impl FnMut(&[u8], &[u8])) -> Result<(), MapError> {
        let Layout { key, value } = self.layout;
        // A bucket that does not fit into a batch is an error to the kernel: then take a larger one.
        let mut room = BATCH.min(self.max_entries);
        let mut keys = vec![0; room as usize * key];
        let mut values = vec![0; room as usize * value];
        let mut cursor: Option<Cursor> = None;
        loop {
            let batch =
                bpf::lookup_batch(self.fd(), self.layout, cursor, &mut keys, &mut values, room);
            let (count, next) = match batch {
                Err(error)
                    if error.raw_os_error() == Some(libc::ENOSPC) && room < self.max_entries =>
                {
                    room = room.saturating_mul(2).min(self.max_entries);
                    keys.resize(room as usize * key, 0);
                    values.resize(room as usize * value, 0);
                    continue;
                }
                batch => batch.map_err(|error| self.failed("list", error))?,
            };
            for (key, value) in keys
                .chunks(key)
                .zip(values.chunks(value))
                .take(count as usize)
            {
                visit(key, value);
            }
            match next {
                Some(next) => cursor = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Makes a hash map or trie hold exactly these elements: writes first, then removes the rest.
    pub(super) fn replace(&self, wanted: &Elements) -> Result<(), MapError> {
        self.add(wanted)?;
        self.remove_others(wanted)
    }

    /// Writes those elements that are not there as they should.
    pub(super) fn add(&self, wanted: &Elements) -> Result<(), MapError> {
        for (key, value) in wanted {
            if self.get(key)?.as_ref() != Some(value) {
                self.set(key, value)?;
            }
        }
        Ok(())
    }

    /// Removes all elements but these.
    pub(super) fn remove_others(&self, wanted: &Elements) -> Result<(), MapError> {
        let mut stale = self.keys()?;
        stale.retain(|key| !wanted.contains_key(key));
        stale.iter().try_for_each(|key| self.remove(key))
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.data.fd().as_fd()
    }

    fn expect(&self, key: usize, value: usize) -> Result<(), MapError> {
        if (self.layout.key, self.layout.value) == (key, value) {
            return Ok(());
        }
        let Layout { key, value } = self.layout;
        Err(MapError::Size {
            name: self.name.clone(),
            key,
            value,
        })
    }

    fn failed(&self, attempt: &'static str, source: io::Error) -> MapError {
        MapError::Use {
            name: self.name.clone(),
            attempt,
            source,
        }
    }
}

/// Bytes of a value in system calls.
fn exchanged(info: &MapInfo) -> Result<usize, MapError> {
    let size = info.value_size() as usize;
    let per_cpu = info.map_type().is_ok_and(|kind| {
        matches!(
            kind,
            aya::maps::MapType::PerCpuArray | aya::maps::MapType::PerCpuHash
        )
    });
    if !per_cpu {
        return Ok(size);
    }
    let cpus = aya::util::nr_cpus().map_err(|(_, source)| MapError::Use {
        name: info.name_as_str().unwrap_or_default().to_owned(),
        attempt: "count the CPUs for",
        source,
    })?;
    Ok(size.next_multiple_of(8) * cpus)
}
