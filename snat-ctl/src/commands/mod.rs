//! One file per verb, each with `execute`: what the process does and with which code it ends.

pub mod check;
pub mod completions;
pub mod eni;
pub mod flows;
pub mod man;
pub mod run;
pub mod status;
pub mod unload;
