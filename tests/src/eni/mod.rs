//! Policy routes of ENIs in tests: the program that makes them, what the kernel has of them, and who answers by
//! which interface.

mod ask;
mod ctl;
mod snapshot;

pub use ask::{Way, ask, only, serve};
pub use ctl::{Ended, EniCtl, section};
pub use snapshot::Snapshot;
