//! The SNAT engine: vocabulary and translation logic, no I/O and no clock.
//!
//! It is written once and has three homes. In the kernel ([`Env`] and [`Packet`] over BPF maps and
//! helpers) it translates traffic; in tests over plain collections it is checked; in `snat-ctl` over
//! the live maps it explains. Read it in the order a packet does: [`fast`] for what is
//! known, [`engine`] for the rest: [`parse`], [`life`], [`policy`], [`claim`] ([`clients`], [`place`], [`share`],
//! [`mappings`], [`ports`]), [`next_hop`], [`rewrite`].
#![no_std]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

pub mod adopt;
pub mod answer;
mod atomic;
pub mod balance;
pub mod bucket;
pub mod checksum;
pub mod claim;
pub mod clients;
pub mod clock;
pub mod datagram;
pub mod engine;
pub mod env;
pub mod event;
pub mod fast;
pub mod flow;
mod flow_ref;
pub mod fragment;
pub mod held;
pub mod icmp_error;
pub mod life;
pub mod load;
pub mod log;
pub mod look;
pub mod mapping;
mod mapping_ref;
pub mod mappings;
pub mod mss;
pub mod next_hop;
pub mod packet;
pub mod parse;
pub mod place;
pub mod policy;
pub mod ports;
pub mod recycle;
pub mod report;
pub mod rewrite;
pub mod settings;
pub mod share;
pub mod siphash;
pub mod stage;
pub mod sum;
pub mod sweep;
pub mod tcp;
pub mod trace;
pub mod transfer;
pub mod tries;
pub mod verdict;
pub mod wire;
pub mod work;

pub use answer::answer;
pub use datagram::{
    Datagram, DatagramHead, DatagramKey, DatagramRef, Frame, HeldKey, Untranslated,
};
pub use engine::{Outcome, Wire, process};
pub use env::{Env, Insert, Route, RouteKind, RouteQuery};
pub use event::Event;
pub use fast::fast;
pub use flow::{Addr, Direction, FlowEntry, FlowKey, Protocol, State};
pub use flow_ref::{CachedHop, FlowRef, Life};
pub use held::Held;
pub use mapping::{Busy, BusyKey, Client, Mapping, MappingKey, MappingKind, Shared, hold};
pub use mapping_ref::{BusyRef, ClientRef, MappingRef, SharedRef};
pub use packet::Packet;
pub use settings::{Counter, Eni, Interface, PortSet, Prefix, Settings, SnatEntry};
pub use verdict::{Action, Verdict};
