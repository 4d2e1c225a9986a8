//! The datapath as user space sees it: the object, its pinned maps, its hooks.
//!
//! Everything of an instance is pinned under `/sys/fs/bpf/snat/NAME`, so that traffic goes on when this
//! program ends, and so that any command can read and write it with no daemon running:
//!
//! ```text
//! FLOWS SETTINGS …       the maps, by the names the documents use
//! progs/snat_tc …        the programs at work; `build` says of which build they are
//! progs/snat_sweep       the program that removes expired flows, run and never attached
//! progs/snat_look        the program that asks for routes and sockets, likewise
//! progs/snat_adopt       the program that makes flows of the kernel's connections, likewise
//! previous/…             the programs of the build before, for `run --rollback`
//! links/xdp-eth0 …       one per hook and interface; removing one detaches it
//! ```

mod admit;
mod adopt;
mod allowed;
mod attach;
mod bpf;
mod builds;
mod census;
mod clock;
pub mod clsact;
mod desired;
mod destinations;
mod detail;
mod ending;
mod enis;
mod filter;
mod flush;
mod forwards;
mod hooks;
mod interfaces;
mod load;
mod map;
mod names;
mod occupancy;
mod order;
mod outlook;
mod owners;
mod pins;
mod placement;
mod pools;
mod populate;
mod raw;
mod reports;
mod ring;
mod scan;
pub mod sweep;
mod told;
mod totals;
mod traffic;
mod view;

pub use self::{
    admit::foreign_abi,
    adopt::{AdoptError, Adopter, set_transfer, timeouts, transfer},
    allowed::Allowed,
    attach::{AttachError, Attached, Mode, attach_all, detach_others},
    builds::{build_at_work, previous_build, roll_back, this_build},
    census::Census,
    clock::Clock,
    desired::{Desired, DesiredError, Host, desired},
    destinations::Destination,
    detail::{Detail, detail},
    ending::{count_others, end_others},
    enis::{EniHint, follow_enis},
    filter::{Filter, FilterError, network, protocol, time},
    flush::flush,
    hooks::{PinnedHook, pinned_hooks, tcx_programs},
    interfaces::refresh_interfaces,
    load::{LoadError, load, object},
    map::{Map, MapError},
    names::{protocol_label, protocol_number},
    occupancy::{
        Occupancy, Ports, Room, claim_tries, crowd, event_count, events, mapping_room, occupancy,
    },
    order::{Best, Order, Sort},
    outlook::{Growing, Outlook, PortsTaken, outlook},
    owners::{LogRing, owners},
    pins::{PinError, Pins},
    pools::{Pool, pools},
    populate::{PopulateError, populate},
    raw::RawKey as FlowId,
    reports::{Interest, Reports, ReportsError, Unseen},
    scan::{Scan, scan},
    told::{externals, interfaces},
    totals::{Totals, totals, translated},
    traffic::{Found, Talker, TalkerSort, Traffic, Wanted},
    view::Flow,
};
pub(crate) use self::{
    attach::chain,
    map::{Plain, bytes, value},
    names::{known_protocol, named_protocol, named_state, state_name},
    pins::remove_dir,
};
