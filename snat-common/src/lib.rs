//! The SNAT engine: vocabulary and translation logic, no I/O and no clock.
#![cfg_attr(not(feature = "std"), no_std)]

pub mod flow;
pub mod settings;
pub mod verdict;

pub use flow::{Addr, Direction, FlowEntry, FlowKey, Protocol, State};
pub use settings::{Counter, Interface, PortSet, Prefix, Settings, SnatEntry};
pub use verdict::{Action, Verdict};
