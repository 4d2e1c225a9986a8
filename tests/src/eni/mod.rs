//! Policy routes of ENIs in tests: the program that makes them, what the kernel has of them, who answers by
//! which interface, and by which one clients are seen.

mod ask;
mod clients;
mod connection;
mod ctl;
mod snapshot;

pub use ask::{Way, ask, only, serve};
pub use clients::{Clients, Seen, expect_by_eth1, seen_as};
pub use connection::Connection;
pub use ctl::{Ended, EniCtl, section};
pub use snapshot::Snapshot;
