//! The lab: networks made of namespaces, real traffic in them, and what was seen on the wire.
//!
//! [`topology`] builds a network, [`gateway`] runs `snat-ctl` in it, [`http`], [`udp`],
//! [`session`] and [`ping`] make traffic, [`capture`] looks at every packet of it, [`lab`] tells a person the story.
//! All of it needs root and runs in namespaces of its own; the machine's network is never touched.

pub mod attempt;
mod bpf;
pub mod capture;
pub mod cgroup;
pub mod cgroup_root;
pub mod eni;
pub mod falls;
pub mod foreign;
pub mod gateway;
pub mod http;

pub mod lab;
pub mod link;
pub mod netns;
pub mod observe;
pub mod path;
pub mod ping;
pub mod program;
pub mod prometheus;
pub mod raw;
pub mod scene;
pub mod scrape;
pub mod segment;
pub mod sender;
pub mod session;
pub mod soak;
pub mod stream;
pub mod stun;
pub mod topology;
pub mod traffic;
pub mod udp;
pub mod unnoticed;
pub mod wait;
pub mod whoami;
mod xdp_pass;
