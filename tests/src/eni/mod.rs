//! Policy routes of ENIs in tests: who answers by which interface.

mod ask;

pub use ask::{Way, ask, only, serve};
