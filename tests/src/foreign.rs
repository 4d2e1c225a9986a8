//! BPF programs of somebody else: each counts its packets and lets them go on.

use std::{ffi::CString, fs, io, os::fd::OwnedFd};

use anyhow::{Context as _, Result};
use aya_obj::generated::{bpf_attach_type, bpf_prog_type};
use nix::net::if_::if_nametoindex;

use crate::{
    bpf::{self, Number, op},
    netns::Netns,
};

/// The name such a program has in the kernel.
pub const NAME: &str = "foreign";

/// Where one sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// XDP in the driver.
    Xdp,
    /// TCX on the way in.
    TcxIngress,
    /// TCX on the way out.
    TcxEgress,
    /// A filter on the way in, on a `clsact` queueing discipline made for it.
    Clsact,
}

/// An attached program. Dropping it detaches, all but the filter, which lasts as long as the interface.
pub struct Counter {
    seen: Number,
    _link: Option<OwnedFd>,
}

impl Counter {
    /// Attaches one to an interface, behind those that are there.
    pub fn attach(netns: &Netns, dev: &str, hook: Hook) -> Result<Self> {
        netns.enter(|| {
            let ifindex = if_nametoindex(dev).with_context(|| format!("finding {dev}"))?;
            let seen = Number::new().context("making a map")?;
            let program = load(&seen, hook).with_context(|| format!("loading for {hook:?}"))?;
            let link = |kind| Ok(Some(bpf::link(&program, ifindex, kind, 0)?));
            let attached = match hook {
                Hook::Clsact => filter(netns, dev, &program).map(|()| None),
                Hook::Xdp => link(bpf_attach_type::BPF_XDP),
                Hook::TcxIngress => link(bpf_attach_type::BPF_TCX_INGRESS),
                Hook::TcxEgress => link(bpf_attach_type::BPF_TCX_EGRESS),
            };
            let link = attached.with_context(|| format!("attaching to {hook:?} of {dev}"))?;
            Ok(Self { seen, _link: link })
        })
    }

    /// How many packets it has seen.
    pub fn packets(&self) -> Result<u64> {
        self.seen.read().context("reading a counter")
    }
}

/// By `tc`, which takes a program from a pin only.
fn filter(netns: &Netns, dev: &str, program: &OwnedFd) -> Result<()> {
    let pin = format!("/sys/fs/bpf/{}-{dev}", netns.name());
    bpf::pin(program, &CString::new(pin.as_str())?).context("pinning")?;
    let add = format!("tc filter add dev {dev} ingress pref 5 bpf da object-pinned {pin}");
    let added = netns
        .run(&format!("tc qdisc add dev {dev} clsact"))
        .and_then(|_| netns.run(&add));
    fs::remove_file(pin).context("removing a pin")?;
    added.map(drop)
}

/// `*bpf_map_lookup_elem(&map, &0) += 1; return "go on";`
fn load(number: &Number, hook: Hook) -> io::Result<OwnedFd> {
    const PSEUDO_MAP_FD: u8 = 1;
    const MAP_LOOKUP_ELEM: i32 = 1;
    let (kind, go_on) = match hook {
        Hook::Xdp => (bpf_prog_type::BPF_PROG_TYPE_XDP, 2),
        // TCX_NEXT and TC_ACT_UNSPEC
        Hook::TcxIngress | Hook::TcxEgress | Hook::Clsact => {
            (bpf_prog_type::BPF_PROG_TYPE_SCHED_CLS, -1)
        }
    };
    #[rustfmt::skip]
    let body = [
        op(0x62, 10, 0, -4, 0),                          // *(u32 *)(r10 - 4) = 0
        op(0xbf, 2, 10, 0, 0),                           // r2 = r10
        op(0x07, 2, 0, 0, -4),                           // r2 += -4
        op(0x18, 1, PSEUDO_MAP_FD, 0, number.fd()),  // r1 = map
        op(0, 0, 0, 0, 0),
        op(0x85, 0, 0, 0, MAP_LOOKUP_ELEM),              // call
        op(0x15, 0, 0, 2, 0),                            // if r0 == 0 goto +2
        op(0xb7, 1, 0, 0, 1),                            // r1 = 1
        op(0xdb, 0, 1, 0, 0),                            // lock *(u64 *)r0 += r1
        op(0xb7, 0, 0, 0, go_on),                        // r0 = …
        op(0x95, 0, 0, 0, 0),                            // exit
    ];
    bpf::load(kind, &body, NAME)
}
