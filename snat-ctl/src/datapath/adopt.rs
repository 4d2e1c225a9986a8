//! Flows that were opened by the kernel's NAT: how they come into the table.

use aya::programs::{ProgramError, SchedClassifier, TestRun as _, TestRunOptions};
use snat_common::{
    Settings,
    adopt::{ADOPTION_AT, Adopted, Adoption},
    flow::TIMED_STATES,
    transfer::Transfer,
};

use super::{
    Pins,
    map::{Map, MapError, bytes, value},
    populate::update_settings,
};

/// Why a connection could not be taken over.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// The program could not be opened or run.
    #[error("cannot run the program that takes connections over: {0}")]
    Program(#[from] ProgramError),
    /// The program did not do what it is for.
    #[error("the program that takes connections over answers {0}, which means nothing")]
    Unknown(u32),
}

/// The pinned program.
pub struct Adopter(SchedClassifier);

impl Adopter {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// [`AdoptError::Program`] where it is not there.
    pub fn open(pins: &Pins) -> Result<Self, AdoptError> {
        Ok(Self(SchedClassifier::from_pin(pins.adopt_program())?))
    }

    /// Makes a flow of the connection. One caller at a time.
    ///
    /// # Errors
    ///
    /// [`AdoptError`].
    pub fn adopt(&self, adoption: &Adoption) -> Result<Adopted, AdoptError> {
        let mut frame = vec![0; ADOPTION_AT as usize];
        frame.extend(bytes(adoption));
        let mut options = TestRunOptions::new();
        options.data_in = Some(&frame);
        let answer = self.0.test_run(options)?.return_value;
        let known = [
            Adopted::Done,
            Adopted::Already,
            Adopted::Taken,
            Adopted::Full,
        ];
        let known = known.into_iter().find(|adopted| *adopted as u32 == answer);
        known.ok_or(AdoptError::Unknown(answer))
    }
}

/// Says whose packets without a flow are, from the next one on.
///
/// # Errors
///
/// [`MapError`].
pub fn set_transfer(pins: &Pins, transfer: Transfer) -> Result<(), MapError> {
    update_settings(pins, |settings| settings.transfer = transfer as u8)?;
    if transfer != Transfer::None {
        return Ok(());
    }
    // What nobody asks for any more.
    let left = Map::open(pins.dir(), "LEFT")?;
    left.keys()?.iter().try_for_each(|key| left.remove(key))
}

/// Whose they are: number of a [`Transfer`].
///
/// # Errors
///
/// [`MapError`].
pub fn transfer(pins: &Pins) -> Result<u8, MapError> {
    settings(pins).map(|settings| settings.transfer)
}

/// Idle timeouts in ticks, by the number of the [`snat_common::State`].
///
/// # Errors
///
/// [`MapError`].
pub fn timeouts(pins: &Pins) -> Result<[u32; TIMED_STATES], MapError> {
    settings(pins).map(|settings| settings.timeouts)
}

fn settings(pins: &Pins) -> Result<Settings, MapError> {
    let found = Map::open(pins.dir(), "SETTINGS")?.get(&0_u32.to_ne_bytes())?;
    Ok(found.map_or_else(Settings::unset, |bytes| value(&bytes)))
}
