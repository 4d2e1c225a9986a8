//! What would happen to a packet now: the engine itself, over the live maps, with the kernel's own route and socket
//! lookup. It changes nothing.
//!
//! `env` is the engine's surroundings, over a `view` of the instance: `tables` reads the pinned maps and keeps what the packet would change beside
//! them (`overlay`), `look` asks the kernel. What the engine asks is `evidence`; `walk` sends a packet through, `stack`
//! says what becomes of one that is passed on, and `decisions` and `claims` put the evidence into words, `assemble` puts them together.

mod assemble;
mod claims;
mod decisions;
mod env;
mod evidence;
mod explanation;
mod file;
mod look;
mod names;
mod overlay;
pub mod packet;
mod port_sets;
mod stack;
mod tables;
mod view;
mod walk;

use std::net::{IpAddr, Ipv4Addr};

use aya::programs::ProgramError;
use snat_common::settings::ABI_VERSION;

pub(crate) use self::explanation::flag_names;
pub use self::{
    decisions::Decision,
    explanation::{Endpoint, Explanation, Leaving, Reply, Told},
    names::protocol_name,
    stack::Does,
};
use self::{names::Names, view::View};
use crate::{
    datapath::{MapError, Pins},
    instance::Record,
    netlink::{Found, Lookup, NetlinkError, lookup},
};

/// Why nothing could be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// A map could not be read.
    #[error(transparent)]
    Map(#[from] MapError),
    /// The program that asks the kernel could not be opened or run.
    #[error(
        "cannot ask the kernel for a route or socket through {program}: {0}",
        program = "progs/snat_look"
    )]
    Program(#[from] ProgramError),
    /// The kernel's lists could not be had.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// What is loaded is of another version.
    #[error(
        "what is loaded has ABI version {found}, this snat-ctl's is {ABI_VERSION}: use the snat-ctl that loaded it"
    )]
    OtherAbi {
        /// Its version; 0 where nobody has written it yet.
        found: u32,
    },
    /// The gateway's interfaces are not to be seen from here.
    #[error(
        "the gateway is not in this network namespace: run this where the gateway runs (ip netns exec ...)"
    )]
    OtherNamespace,
    /// There is no such interface.
    #[error("there is no interface {name:?} here; name another with --in")]
    NoInterface {
        /// As it was given.
        name: String,
    },
    /// Nobody said where the packet comes in, and the routes don't.
    #[error("cannot tell by which interface a packet of {src} comes in ({why}): name it with --in")]
    NoIngress {
        /// Its source.
        src: Ipv4Addr,
        /// What the routes say.
        why: &'static str,
    },
}

/// An instance, to be asked about packets. What one packet would leave behind is there for the next.
pub struct Explainer {
    view: View,
    names: Names,
}

impl Explainer {
    /// Opens the instance `name`, whose pins these are. Its daemon need not run.
    ///
    /// # Errors
    ///
    /// [`ExplainError`] where its maps can't be read, are of another version, or are another namespace's.
    pub fn open(name: &str, pins: &Pins) -> Result<Self, ExplainError> {
        let view = View::open(pins)?;
        // Routes and interfaces are those of this thread's network namespace.
        if Record::read(name).is_some_and(|record| record.is_elsewhere()) {
            return Err(ExplainError::OtherNamespace);
        }
        let names = Names::of(name)?;
        Ok(Self { view, names })
    }

    /// The interface of that name.
    ///
    /// # Errors
    ///
    /// [`ExplainError::NoInterface`].
    pub fn interface(&self, name: &str) -> Result<u32, ExplainError> {
        let link = self.names.links.iter().find(|link| link.name == name);
        link.map(|link| link.index)
            .ok_or_else(|| ExplainError::NoInterface {
                name: name.to_owned(),
            })
    }

    /// The interface that packets of `src` come in by if they come as answers to it would leave.
    ///
    /// # Errors
    ///
    /// [`ExplainError::NoIngress`] where the routes lead nowhere.
    pub fn ingress(&self, src: Ipv4Addr) -> Result<u32, ExplainError> {
        let unknown = |why| ExplainError::NoIngress { src, why };
        match lookup(&Lookup::to(IpAddr::V4(src)))? {
            Found::Route {
                dev: Some(dev),
                kind: crate::eni::RouteKind::Unicast,
                ..
            } => Ok(dev),
            Found::Route { .. } => Err(unknown("that address is this host's own")),
            Found::Refused(_) | Found::NoRoute => Err(unknown("there is no route to it")),
        }
    }

    /// Whether a flow is open for this packet.
    ///
    /// # Errors
    ///
    /// [`ExplainError::Map`].
    pub fn has_flow(&self, packet: &packet::Asked, ingress: u32) -> Result<bool, ExplainError> {
        assemble::has_flow(&self.view, packet, ingress)
    }

    /// What would happen to it, in by interface `ingress`.
    ///
    /// # Errors
    ///
    /// [`ExplainError`] where the kernel does not answer.
    pub fn explain(
        &self,
        packet: &packet::Asked,
        ingress: u32,
    ) -> Result<Explanation, ExplainError> {
        assemble::explain(&self.view, &self.names, packet, ingress)
    }
}
