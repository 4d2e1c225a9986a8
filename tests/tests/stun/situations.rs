//! What may have happened before somebody asks what kind of NAT this is. It must make no difference.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    raw::Packet,
    stun::{
        binding,
        judge::{self, Judge, Running},
        server::endpoints,
    },
    topology::Topology,
};

use crate::cases::{Case, servers};

/// See the variants; each has source ports of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Situation {
    /// Nothing.
    Fresh,
    /// Another client has spoken from the same port to those endpoints of the server that are asked second.
    PortHeld,
    /// Strangers, and endpoints the client has yet to speak to, have sent to its external port.
    Unsolicited,
}

/// Speaks first; nobody ever speaks to it.
const STRANGER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 99), 9);

/// A STUN client to be asked, and the endpoint it asks from.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) case: &'a Case,
    pub(crate) situation: Situation,
    pub(crate) judge: Judge,
}

impl Situation {
    pub(crate) const ALL: [Self; 3] = [Self::Fresh, Self::PortHeld, Self::Unsolicited];

    fn first_port(self) -> u16 {
        match self {
            Self::Fresh => 5000,
            Self::PortHeld => 6000,
            Self::Unsolicited => 7000,
        }
    }
}

/// All STUN clients in all these cases and situations; names every wrong finding. Those of one situation ask at
/// the same time: all at once would be so many that a small machine answers some too late.
pub(crate) fn judged(topology: &Topology, cases: &[Case], situations: &[Situation]) -> Result<()> {
    let mut asked = 0;
    let mut wrong = Vec::new();
    for &situation in situations {
        let mut running = Vec::new();
        for case in cases {
            for judge in judge::ALL {
                let question = Question {
                    case,
                    situation,
                    judge,
                };
                running.push((question, question.ask(topology)?));
            }
        }
        asked += running.len();
        let errors = running
            .into_iter()
            .filter_map(|(question, running)| question.answered(running).err());
        wrong.extend(errors.map(|error| format!("{error:#}")));
    }
    ensure!(
        wrong.is_empty(),
        "{} of {asked} findings are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    Ok(())
}

impl Question<'_> {
    /// Makes the situation and starts the client.
    pub(crate) fn ask(&self, topology: &Topology) -> Result<Running> {
        let [client, _] = &topology.clients;
        let ask = || {
            match self.situation {
                Situation::Fresh => {}
                Situation::PortHeld => self.hold(topology)?,
                Situation::Unsolicited => self.disturb(topology)?,
            }
            self.judge
                .start(&client.netns, self.local(0), topology.server.addr)
        };
        ask().with_context(|| self.to_string())
    }

    fn answered(&self, running: Running) -> Result<()> {
        running
            .finds(self.case.mapping, self.case.filtering)
            .with_context(|| self.to_string())
    }

    fn hold(&self, topology: &Topology) -> Result<()> {
        let [_, others @ ..] = endpoints(servers(topology));
        topology.clients[1]
            .netns
            .enter(|| binding::request(self.local(1), &others).map(drop))
    }

    fn disturb(&self, topology: &Topology) -> Result<()> {
        let [asked, others @ ..] = endpoints(servers(topology));
        let local = self.local(0);
        let external = topology.clients[0].netns.enter(|| {
            let told = binding::request(local, &[asked])?;
            binding::await_free(local)?;
            told.first().copied().context("nothing was asked")
        })?;
        ensure!(
            *external.ip() == self.case.external(),
            "the external endpoint is {external}"
        );
        others
            .into_iter()
            .chain([STRANGER])
            .try_for_each(|from| Packet::udp(from, external, 20).send(&topology.server.netns))
    }

    fn local(&self, client: usize) -> SocketAddrV4 {
        let offset = match self.judge {
            Judge::Coturn => 0,
            Judge::Stund => 10,
            Judge::Pystun3 => 20,
        };
        let port = self.situation.first_port() + offset;
        SocketAddrV4::new(self.case.clients()[client], port)
    }
}

impl std::fmt::Display for Question<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [mapping, filtering] = self.case.keys;
        write!(
            f,
            "mapping {mapping}, filtering {filtering}, {:?}",
            self.situation
        )
    }
}
