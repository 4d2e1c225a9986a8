//! The datapath as user space sees it: the object, its pinned maps, its hooks.
//!
//! Everything of an instance is pinned under `/sys/fs/bpf/snat/NAME`, so that traffic goes on when this
//! program ends, and so that any command can read and write it with no daemon running:
//!
//! ```text
//! FLOWS SETTINGS …       the maps, by the names the documents use
//! progs/snat_sweep       the program that removes expired flows, run and never attached
//! links/xdp-eth0 …       one per hook and interface; removing one detaches it
//! ```

mod attach;
mod bpf;
pub mod clsact;
mod desired;
mod enis;
mod forwards;
mod hooks;
mod load;
mod map;
mod names;
mod occupancy;
mod pins;
mod populate;
pub mod sweep;
mod told;
mod view;

pub(crate) use self::{
    attach::chain,
    map::{bytes, value},
    pins::remove_dir,
};
pub use self::{
    attach::{AttachError, Attached, Mode, attach_all, detach_others},
    desired::{Desired, DesiredError, Host, desired},
    enis::{EniHint, follow_enis},
    hooks::{PinnedHook, pinned_hooks, tcx_programs},
    load::{LoadError, load, object},
    map::{Map, MapError},
    occupancy::{Occupancy, Ports, Room, events, occupancy},
    pins::{PinError, Pins},
    populate::{populate, refresh_interfaces},
    told::{externals, interfaces},
    view::{Flow, Totals, flows, totals, usage},
};
