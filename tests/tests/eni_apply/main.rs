//! `snat-ctl eni` on a host with two interfaces: packets counted on the wire, rules and routes compared as text.

mod answers;
mod container;
mod foreign;
mod found;
mod network;
mod tables;

use std::net::IpAddr;

use anyhow::{Result, ensure};
use snat_tests::{
    eni::{EniCtl, Snapshot, Way, ask, only, section, serve},
    session::LineServer,
    topology::{
        enis::{ETH0, ETH1, Enis},
        unique_prefix,
    },
};

/// The host with the configuration of the documented example, which is not applied yet.
struct Scene {
    before: Snapshot,
    ctl: EniCtl,
    _service: LineServer,
    enis: Enis,
}

impl Scene {
    fn new(more: &str) -> Result<Self> {
        let prefix = unique_prefix();
        Self::of(Enis::build(&prefix)?, &prefix, &section(&ETH1, more))
    }

    fn of(enis: Enis, prefix: &str, config: &str) -> Result<Self> {
        Ok(Self {
            before: Snapshot::take(&enis.vm)?,
            ctl: EniCtl::new(&enis.vm, &format!("{prefix}eni"), config)?,
            _service: serve(&enis)?,
            enis,
        })
    }

    fn snapshot(&self) -> Result<Snapshot> {
        Snapshot::take(&self.enis.vm)
    }

    /// Fails unless nothing is there that was not before, and everything that was.
    fn remove(&self) -> Result<()> {
        self.ctl.done("remove")?;
        self.snapshot()?.expect_as(&self.before)
    }
}

fn each_answers_by_its_own(enis: &Enis) -> Result<()> {
    let [secondary] = *ETH1.further else { panic!() };
    let asked: [(IpAddr, Way); 5] = [
        (ETH0.eip.into(), ("eth0", ETH0.addr.into())),
        (ETH1.eip.into(), ("eth1", ETH1.addr.into())),
        (secondary.into(), ("eth1", secondary.into())),
        (ETH0.addr6.into(), ("eth0", ETH0.addr6.into())),
        (ETH1.addr6.into(), ("eth1", ETH1.addr6.into())),
    ];
    for (address, way) in asked {
        let packets = only(&ask(enis, address)?, way)?;
        ensure!(packets >= 6, "{packets} packets are no conversation");
    }
    Ok(())
}
