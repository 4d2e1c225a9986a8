//! The configuration file.

mod model;

use std::path::Path;

pub use model::*;

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let _ = path;
        Err(ConfigError)
    }
}

/// Checks an instance name.
///
/// # Errors
///
/// What is wrong and what is accepted.
pub fn check_name(_name: &str) -> Result<(), String> {
    Ok(())
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
#[error("placeholder")]
pub struct ConfigError;
