//! One file per verb, each with `execute`: what the process does and with which code it ends.

pub mod adopt;
pub mod apply;
pub mod check;
pub mod completions;
pub mod drops;
pub mod eni;
pub mod explain;
pub mod flows;
pub mod import;
pub mod man;
pub mod metrics;
pub mod pools;
pub mod run;
pub mod status;
pub mod top;
pub mod unload;
mod words;

/// Something was asked for that cannot be meant; nothing was changed, and the process exits with 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongUsage(pub String);
