//! Programs, maps and hooks: from nothing, or over a datapath that is at work.

use anyhow::Context as _;
use snat_common::Interface;

use super::{
    host::{gateway_links, host},
    programs::Wanted,
};
use crate::{
    config::Config,
    datapath::{self, Attached, Desired, Host, Pins, attach_all, desired, detach_others, populate},
    instance::{self, Record, RecordedInterface},
    netlink::Link,
    trace::Tracer,
};

/// What the maps must hold for a configuration on this host, worked out.
pub struct Ground {
    /// The interfaces, in the configuration's order.
    pub links: Vec<Link>,
    /// The host.
    pub host: Host,
    /// The maps.
    pub desired: Desired,
}

impl Ground {
    /// Works it out; changes nothing.
    ///
    /// # Errors
    ///
    /// An interface that is not there, a host that cannot be read, a configuration that does not fit.
    pub fn of(config: &Config) -> anyhow::Result<Self> {
        let links = gateway_links(config)?;
        let host = host(config, &links)?;
        let desired = desired(config, &host)?;
        Ok(Self {
            links,
            host,
            desired,
        })
    }

    /// Writes the maps of a datapath that is at work, and notes where the entries are.
    ///
    /// # Errors
    ///
    /// The map that refused; or the record could not be written.
    pub fn write(&self, pins: &Pins) -> anyhow::Result<()> {
        let slots = populate(pins, &self.desired, &self.host)
            .context("cannot write the configuration into the maps")?;
        Record::update(&pins.name(), |record| record.slots = slots)
    }
}

/// What is up.
pub struct Up {
    /// How each interface works.
    pub attached: Vec<Attached>,
    /// What the datapath knows of them.
    pub interfaces: Vec<Interface>,
    /// Tells of packets.
    pub tracer: Option<Tracer>,
}

/// Loads, writes the maps, attaches, detaches from what is not listed any more. `tell` writes what else the datapath must know.
///
/// A datapath that is at work is attached to new interfaces before it knows of them: what is sent there from then on is
/// answered to it, not to the host.
///
/// # Errors
///
/// Whatever failed.
pub fn bring_up(
    config: &Config,
    mut record: Record,
    programs: &Wanted,
    tell: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Up> {
    let name = &config.gateway.name;
    let pins = &Pins::of(name);
    let ground = Ground::of(config)?;
    // Whether there is room for what is written below, before anything is touched.
    record.rehearse(name)?;
    let tracer = programs.provide(config, pins)?;
    let recorded = instance::recorded_interfaces(name);
    let at_work = !pins.link_names().is_empty() || !recorded.is_empty();
    if !at_work {
        // Before anything takes packets.
        record.slots = write(pins, &ground)?;
    }
    tell()?;
    let wanted = &config.gateway.interfaces;
    let gone: Vec<_> = recorded
        .into_iter()
        .filter(|interface| !wanted.contains(interface))
        .collect();
    // Before anything is attached: what has no pin is found again only by this.
    let unattached = |interface: &String| RecordedInterface::unattached(interface);
    record.interfaces = wanted.iter().chain(&gone).map(unattached).collect();
    record.write(name)?;
    let attached = attach_all(pins, &ground.links, config.gateway.datapath)?;
    if at_work {
        record.slots = write(pins, &ground)?;
    }
    detach_others(pins, wanted)?;
    for interface in &gone {
        datapath::clsact::detach(interface)
            .with_context(|| format!("cannot remove the TC filters of {interface}"))?;
    }
    record.interfaces = attached.iter().map(RecordedInterface::from).collect();
    record.write(name)?;
    Ok(Up {
        attached,
        interfaces: ground.host.interfaces,
        tracer,
    })
}

fn write(pins: &Pins, ground: &Ground) -> anyhow::Result<Vec<u32>> {
    populate(pins, &ground.desired, &ground.host)
        .context("cannot write the configuration into the maps")
}
