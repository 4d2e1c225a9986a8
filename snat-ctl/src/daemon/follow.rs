//! Changes of the host's network: what is there is looked after, whatever is away.

use std::net::Ipv4Addr;

use anyhow::{Context as _, ensure};

use super::{
    Daemon,
    departed::end_flows,
    host::{present_host, present_links},
};
use crate::{
    datapath::{Allowed, Attached, attach_all, desired, populate, refresh_interfaces},
    instance::{Record, RecordedInterface},
    netlink::Link,
};

impl Daemon {
    /// Something about links, addresses, routes or neighbours changed.
    ///
    /// # Errors
    ///
    /// What could not be followed. An interface that is away or renamed is one, too: the others are followed first.
    pub(super) fn follow(&mut self) -> anyhow::Result<()> {
        let links = present_links(&self.config, &self.known)?;
        let host = present_host(&self.config, &links, &self.known)?;
        self.departed.note(&self.known, &host.interfaces);
        let is_new: Vec<bool> = host
            .interfaces
            .iter()
            .zip(&self.known)
            .map(|(now, then)| now.ifindex != 0 && now.ifindex != then.ifindex)
            .collect();
        if host.interfaces == self.known {
            refresh_interfaces(&self.pins, &host.interfaces)?;
        } else {
            let desired = desired(&self.config, &host)?;
            let slots = populate(&self.pins, &desired, &host)?;
            Record::update(&self.config.gateway.name, |record| record.slots = slots)?;
        }
        if is_new.contains(&true) {
            // Another interface of the same name: nothing of ours is on it yet.
            self.attach_present(&links)?;
            eprintln!("attached anew: an interface was replaced");
        }
        self.known = host.interfaces;
        self.all_are_there(&links)
    }

    /// Ends flows whose address the host has lost.
    pub(super) fn end_departed(&mut self) {
        let gone = self.departed.due(&self.config).unwrap_or_else(|error| {
            self.warn(&format!(
                "cannot look for addresses that are gone: {error:#}"
            ));
            Vec::new()
        });
        if gone.is_empty() {
            return;
        }
        let names: Vec<String> = gone.iter().map(ToString::to_string).collect();
        let names = names.join(", ");
        match self.end_flows_of(&gone) {
            Ok(count) => self.warn(&format!(
                "{names}: no address of this host any more; ended {count} flows"
            )),
            Err(error) => self.warn(&format!(
                "cannot end the flows of {names}, which is gone: {error:#}; they end when they are idle for long enough"
            )),
        }
    }

    fn end_flows_of(&self, gone: &[Ipv4Addr]) -> anyhow::Result<u64> {
        let links = present_links(&self.config, &self.known)?;
        let host = present_host(&self.config, &links, &self.known)?;
        let desired = desired(&self.config, &host)?;
        let allowed = Allowed::by(&self.config, &host, &desired);
        end_flows(&self.pins, &allowed, gone)
    }

    /// Links under another name have ours already.
    fn attach_present(&mut self, links: &[Option<Link>]) -> anyhow::Result<()> {
        let names = self.config.gateway.interfaces.iter();
        let named = links.iter().zip(names);
        let named: Vec<Link> = named
            .filter_map(|(link, name)| link.clone().filter(|link| link.name == *name))
            .collect();
        let attached = attach_all(&self.pins, &named, self.config.gateway.datapath)?;
        let again = |old: &Attached| attached.iter().find(|new| new.interface == old.interface);
        let all = self.attached.iter();
        self.attached = all.map(|old| again(old).unwrap_or(old).clone()).collect();
        let interfaces = self.attached.iter().map(RecordedInterface::from).collect();
        Record::update(&self.config.gateway.name, |record| {
            record.interfaces = interfaces;
        })
    }

    fn all_are_there(&self, links: &[Option<Link>]) -> anyhow::Result<()> {
        for (name, link) in self.config.gateway.interfaces.iter().zip(links) {
            let link = link
                .as_ref()
                .with_context(|| format!("interface {name} does not exist"))?;
            let now = &link.name;
            ensure!(
                now == name,
                "interface {name} is called {now} now: it goes on, but under that name no start will find it"
            );
        }
        Ok(())
    }
}
