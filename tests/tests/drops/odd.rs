//! What takes more than a packet with something wrong in it.

use std::{
    mem::offset_of,
    net::{Ipv4Addr, SocketAddrV4},
};

use anyhow::{Context as _, Result, ensure};
use aya::maps::{HashMap, Map, MapData};
use etherparse::{IpNumber, Ipv4Header};
use snat_common::{FlowEntry, FlowKey, State, Verdict};
use snat_tests::{
    capture::Tap,
    raw::{DONT_FRAGMENT, MORE_FRAGMENTS, Packet},
    wait,
};

use crate::{
    Provoked, SOON, counted,
    plain::{Plain, dropped, open},
};

const GRE: u8 = 47;

impl Plain<'_> {
    /// Routers and bridges drop it as well: this one is from the next machine on the link.
    pub(crate) fn broken_header(&self) -> Result<Provoked> {
        let (src, dst) = (*self.server.ip(), *self.mapped.ip());
        let mut bytes = whole(src, dst);
        bytes[10] ^= 1;
        let isp = &self.scene.topology.fabric[1];
        Tap::open(isp, "gw")?.send(station(dst), &bytes)?;
        Ok(Provoked {
            reason: Verdict::MalformedIp,
            src,
            dst,
        })
    }

    pub(crate) fn broken_error(&self) -> Result<Provoked> {
        let quoted = whole(*self.mapped.ip(), *self.server.ip());
        let ports = [self.mapped.port(), self.server.port(), 8, 0].map(u16::to_be_bytes);
        let rest = [&[0; 4], &quoted[..20], &ports.concat()].concat();
        let router = Ipv4Addr::new(203, 0, 113, 1);
        let mut error = Packet::icmp(router, *self.mapped.ip(), 3, 1, &rest);
        error.payload[2] ^= 1;
        error.send(&self.scene.topology.fabric[1])?;
        Ok(dropped(Verdict::ErrorInvalid, &error))
    }

    pub(crate) fn second_owner(&self) -> Result<Provoked> {
        let [owner, second] = &self.scene.topology.clients;
        let gre = |src| Packet::new(src, *self.server.ip(), GRE, vec![0; 40]);
        gre(owner.addr).send(&owner.netns)?;
        wait::until(SOON, "the first has it", || {
            let flows = self.scene.gateway.flows()?;
            ensure!(flows.iter().any(|flow| flow.protocol == "gre"), "{flows:?}");
            Ok(())
        })?;
        gre(second.addr).send(&second.netns)?;
        Ok(dropped(Verdict::ProtocolTaken, &gre(second.addr)))
    }

    /// A flow is dead for a few microseconds before it is gone: too short to send into, so it is put there.
    pub(crate) fn dead_flow(&self) -> Result<Provoked> {
        self.in_state(4002, State::Dead, Verdict::FlowVanishing)
    }

    /// As a change of the configuration leaves it.
    pub(crate) fn ended_flow(&self) -> Result<Provoked> {
        self.in_state(4010, State::Ended, Verdict::FlowEnded)
    }

    fn in_state(&self, port: u16, state: State, reason: Verdict) -> Result<Provoked> {
        const STATE_AT: usize = offset_of!(FlowEntry, state);
        const DST_PORT_AT: usize = offset_of!(FlowKey, dst_port);
        let src = SocketAddrV4::new(*self.client.ip(), port);
        let mapped = open(self.scene, src, self.server)?;
        let pin = self.scene.gateway.pins().join("FLOWS");
        let mut flows: HashMap<_, [u8; size_of::<FlowKey>()], [u8; size_of::<FlowEntry>()]> =
            HashMap::try_from(Map::HashMap(MapData::from_pin(pin)?))?;
        let entries: Vec<_> = flows.iter().collect::<Result<_, _>>()?;
        let is_in = |key: &[u8]| key[DST_PORT_AT..][..2] == mapped.port().to_ne_bytes();
        let (key, mut entry) = entries
            .into_iter()
            .find(|(key, _)| is_in(key))
            .context("no such flow")?;
        entry[STATE_AT] = state as u8;
        flows.insert(key, entry, 0)?;
        let answer = Packet::udp(self.server, mapped, 8);
        answer.send(&self.scene.topology.server.netns)?;
        Ok(dropped(reason, &answer))
    }

    /// One datagram in fragments a second is let through.
    pub(crate) fn second_datagram(&self) -> Result<Provoked> {
        let first = Packet {
            fragment: MORE_FRAGMENTS,
            ..Packet::udp(self.client, self.server, 64)
        };
        self.until_dropped(Verdict::FragmentLimit, || {
            let netns = &self.scene.topology.clients[0].netns;
            first.send(netns)?;
            first.send(netns)
        })?;
        Ok(dropped(Verdict::FragmentLimit, &first))
    }

    /// In by an interface without a program of ours: the stack would send it on as it is.
    pub(crate) fn around_the_gateway(&self) -> Result<Provoked> {
        let (src, dst) = (*self.client.ip(), *self.server.ip());
        let isp = &self.scene.topology.fabric[1];
        Tap::open(isp, "gw2")?.send(station([192, 0, 2, 2].into()), &whole(src, dst))?;
        Ok(Provoked {
            reason: Verdict::LeakStopped,
            src,
            dst,
        })
    }

    pub(crate) fn larger_than_the_way(&self) -> Result<Provoked> {
        let gw = &self.scene.topology.gateway.netns;
        // Locked: of a route's own MTU the kernel tells BPF no other.
        gw.ip(&format!(
            "route add {}/32 dev eth1 mtu lock 1300",
            self.client.ip()
        ))?;
        let packet = Packet {
            fragment: DONT_FRAGMENT,
            ..Packet::udp(self.server, self.mapped, 1400)
        };
        self.until_dropped(Verdict::TooBig, || {
            packet.send(&self.scene.topology.server.netns)
        })?;
        Ok(dropped(Verdict::TooBig, &packet))
    }

    fn until_dropped(&self, reason: Verdict, send: impl Fn() -> Result<()>) -> Result<()> {
        wait::until(SOON, &format!("{reason:?}"), || {
            send()?;
            let packets = counted(&self.scene.gateway, reason)?;
            ensure!(packets > 0, "none was dropped");
            Ok(())
        })
    }
}

/// A UDP datagram whose header is right.
fn whole(src: Ipv4Addr, dst: Ipv4Addr) -> Vec<u8> {
    let header = Ipv4Header::new(8, 64, IpNumber::UDP, src.octets(), dst.octets());
    let mut header = header.expect("a short packet");
    header.header_checksum = header.calc_header_checksum();
    let ports = [4000, 53, 8, 0].map(u16::to_be_bytes);
    [&header.to_bytes()[..], &ports.concat()].concat()
}

/// The hardware address of the interface that has this one.
fn station(addr: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = addr.octets();
    [2, 0, a, b, c, d]
}
