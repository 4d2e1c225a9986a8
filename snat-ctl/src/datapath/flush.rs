//! Removes a selection of the flows, dead or alive.

use snat_common::sweep::{Kind, MAX_KEYS};

use super::{
    Pins, Scan,
    raw::RawKey,
    sweep::{SweepError, Sweeper, now},
};

/// Walks for those that a packet or a busy bucket has kept.
const WALKS: u32 = 3;

/// Removes every flow that the selection has now, and says how many are gone.
///
/// The kernel decides on each by the client's side, and keeps what was opened since it was selected; or used, where it
/// was selected as idle. The next packet of a flow finds none: it opens one if it may.
///
/// # Errors
///
/// [`SweepError`]; what was removed before stays removed.
pub fn flush(pins: &Pins, selection: &Scan) -> Result<u64, SweepError> {
    let sweeper = Sweeper::open(pins)?;
    let mut removed = 0;
    for _ in 0..WALKS {
        let (tried, gone) = walk(&sweeper, selection)?;
        removed += gone;
        if gone == tried {
            break;
        }
    }
    Ok(removed)
}

/// One walk: how many it found, and how many of them are gone.
fn walk(sweeper: &Sweeper, selection: &Scan) -> Result<(u64, u64), SweepError> {
    let looked = now();
    let kind = if selection.filter().min_idle.is_some() {
        Kind::Unused
    } else {
        Kind::Flows
    };
    let (mut tried, mut gone) = (0, 0);
    let mut keys: Vec<u8> = Vec::new();
    let mut failed = None;
    let mut remove = |keys: &mut Vec<u8>| {
        if failed.is_none() {
            match sweeper.remove(kind, RawKey::LEN, keys, looked) {
                Ok(count) => gone += u64::from(count),
                Err(error) => failed = Some(error),
            }
        }
        keys.clear();
    };
    selection.for_each(|flow| {
        tried += 1;
        keys.extend(flow.id.bytes());
        if keys.len() == MAX_KEYS as usize * RawKey::LEN {
            remove(&mut keys);
        }
    })?;
    remove(&mut keys);
    failed.map_or(Ok((tried, gone)), Err)
}
