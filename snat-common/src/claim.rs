//! A new flow: its external address and port, and its two entries.
//!
//! Inserting the `In` entry is the claim: the key has everything that makes a reply unambiguous, so a port can
//! serve any number of destinations, and of two CPUs that want the same one the map lets one in. Where the
//! mapping is endpoint-independent, the port is the endpoint's own first ([`crate::mappings`]), and the claim
//! can only be lost to a flow that shares the port because none was left for it.

use crate::{
    checksum, clients,
    env::{Env, Insert, Step},
    event::Event,
    flow::{Addr, Direction, FlowEntry, FlowKey},
    held::Held,
    life,
    mapping::{BusyKey, Mapping, MappingKey, hold},
    mappings, next_hop,
    parse::Parsed,
    policy::Grant,
    ports::{Search, Wanted},
    settings::{self, Filtering, Settings},
    siphash,
    verdict::Verdict,
};

/// Opens the flow that was granted, and enters both directions.
///
/// [`Verdict::TranslatedOut`] says that the flow is there; everything else is why it is not.
#[inline(never)]
pub fn claim<E: Env>(env: &E, packet: &Parsed, grant: &Grant, now: u32) -> Verdict {
    let mut counted = false;
    match clients::enter(env, grant.client, now, &mut counted) {
        Verdict::TranslatedOut => {}
        refused => return refused,
    }
    let mut opening = Opening {
        in_key: packet.key,
        out_key: packet.key,
        client: grant.client,
        client_port: grant.client_port,
        holds: if counted { hold::CLIENT } else { 0 },
        elsewhere: false,
    };
    let mut end = if grant.from_outside {
        let_in(env, packet, &mut opening, now)
    } else {
        go_out(env, packet, grant, &mut opening, now)
    };
    if end == Verdict::TranslatedOut && !opening.elsewhere {
        end = enter(env, packet, &opening, now);
    } else {
        life::give_back(env, &opening.in_key, opening.holds, opening.client, now);
    }
    end
}

/// A flow that is being opened.
pub struct Opening {
    in_key: FlowKey,
    out_key: FlowKey,
    client: Addr,
    client_port: u16,
    /// What it holds so far.
    holds: u8,
    /// Another CPU is opening the very same flow.
    elsewhere: bool,
}

/// A packet from outside that a mapping and its filtering let in: the port is the client's already.
#[inline(never)]
fn let_in<E: Env>(env: &E, packet: &Parsed, opening: &mut Opening, now: u32) -> Verdict {
    let FlowKey { src, dst, dst_port, protocol, .. } = packet.key;
    opening.out_key = FlowKey {
        src: opening.client,
        src_port: opening.client_port,
        dst: src,
        dst_port: packet.key.src_port,
        ..packet.key
    };
    opening.holds |= hold::FROM_OUTSIDE;
    let key = mappings::outer_key(dst, dst_port, protocol);
    let Some(mapping) = env.mapping(&key) else {
        return Verdict::Unsolicited;
    };
    if !mapping.held().acquire() {
        return Verdict::FlowVanishing;
    }
    opening.holds |= hold::MAPPING;
    if mapping.filtering() == Filtering::AddressDependent as u8 {
        permit(env, opening, now);
    }
    enter_in(env, packet, opening, now)
}

/// A client's packet.
#[inline(never)]
fn go_out<E: Env>(
    env: &E,
    packet: &Parsed,
    grant: &Grant,
    opening: &mut Opening,
    now: u32,
) -> Verdict {
    let mut place = Place {
        external: [0; 4],
        set: 0,
        hash: 0,
        mapping: 0,
        filtering: 0,
    };
    if !find_place(env, packet, grant, &mut place) {
        return Verdict::PortsExhausted;
    }
    opening.in_key = FlowKey {
        src: packet.key.dst,
        src_port: packet.key.dst_port,
        dst: place.external,
        dst_port: packet.key.src_port,
        ..packet.key
    };
    if !packet.key.protocol.has_ports() {
        return match enter_in(env, packet, opening, now) {
            Verdict::PortsExhausted => Verdict::ProtocolTaken,
            end => end,
        };
    }
    if place.mapping != settings::Mapping::AddressAndPortDependent as u8 {
        match map(env, packet, &place, opening, now) {
            Verdict::TranslatedOut => {
                if place.filtering == Filtering::AddressDependent as u8 {
                    permit(env, opening, now);
                }
                match enter_in(env, packet, opening, now) {
                    Verdict::PortsExhausted => unmap(env, opening, now),
                    end => return end,
                }
            }
            Verdict::PortsExhausted | Verdict::TableFull => {}
            end => return end,
        }
        if place.mapping == settings::Mapping::EndpointIndependent as u8 {
            return Verdict::PortsExhausted;
        }
        env.event(Event::PortShared);
    }
    share(env, packet, &place, opening, now)
}

/// Where a flow's external port is to be.
struct Place {
    external: Addr,
    /// Index in `PORT_SETS`.
    set: u32,
    /// Of the client's endpoint alone: as long as a port is free, it looks the same to every destination,
    /// and nobody outside can guess the next one (RFC 6056).
    hash: u64,
    /// Number of a [`settings::Mapping`].
    mapping: u8,
    /// Number of a [`Filtering`].
    filtering: u8,
}

#[inline(never)]
fn find_place<E: Env>(env: &E, packet: &Parsed, grant: &Grant, place: &mut Place) -> bool {
    let (Some(settings), Some(entry)) = (env.settings(), env.entry(grant.entry)) else {
        return false;
    };
    let client = u64::from(u32::from_be_bytes(packet.key.src));
    // Paired pooling: a client keeps its external address, whatever the protocol (RFC 4787 REQ-2).
    let pick = siphash::hash(&settings.secret, client, 0) as u32 % u32::from(entry.pool_len).max(1);
    let Some(external) = external_address(env, u32::from(entry.pool_first) + pick, grant.egress)
    else {
        return false;
    };
    let identity = u64::from(packet.key.src_port) << 8 | packet.key.protocol as u64;
    *place = Place {
        external,
        set: entry.port_set,
        hash: siphash::hash(&settings.secret, client, identity | 1 << 32),
        mapping: entry.mapping,
        filtering: entry.filtering,
    };
    true
}

/// Gets the client's endpoint its own external port: the one it has, or a new one.
#[inline(never)]
fn map<E: Env>(
    env: &E,
    packet: &Parsed,
    place: &Place,
    opening: &mut Opening,
    now: u32,
) -> Verdict {
    let FlowKey { src, src_port, protocol, .. } = packet.key;
    let client = mappings::inner_key(src, src_port, protocol);
    let mut outer = mappings::outer_key(place.external, 0, protocol);
    let mut found = mappings::acquire(env, &client, &mut outer);
    if !found {
        outer = mappings::outer_key(place.external, 0, protocol);
        match search_mapping(env, packet, place, &mut outer, now) {
            Verdict::TranslatedOut => {}
            refused => return refused,
        }
        if !mappings::confirm(env, &client, &outer, now) {
            // Another CPU mapped the endpoint at the same time: its mapping is the one.
            found = mappings::acquire(env, &client, &mut outer);
            if !found {
                return Verdict::FlowVanishing;
            }
        }
    }
    opening.holds |= hold::MAPPING;
    opening.in_key.dst = outer.addr;
    opening.in_key.dst_port = outer.port;
    Verdict::TranslatedOut
}

/// Claims a port for the endpoint alone.
#[inline(never)]
fn search_mapping<E: Env>(
    env: &E,
    packet: &Parsed,
    place: &Place,
    outer: &mut MappingKey,
    now: u32,
) -> Verdict {
    let mapping = Mapping {
        held: Held::by(1, now),
        addr: packet.key.src,
        port: packet.key.src_port,
        filtering: place.filtering,
        is_static: 0,
    };
    let busy = mappings::busy_altogether(place.external, packet.key.protocol);
    let mut search = search(env, packet, place, now, busy, true);
    search.mapping = mapping;
    search.outer = *outer;
    search.run();
    *outer = search.outer;
    search.end
}

/// Claims a port that is free towards this destination.
#[inline(never)]
fn share<E: Env>(
    env: &E,
    packet: &Parsed,
    place: &Place,
    opening: &mut Opening,
    now: u32,
) -> Verdict {
    opening.in_key.dst = place.external;
    let busy = mappings::busy_towards(&opening.in_key);
    let mut search = search(env, packet, place, now, busy, false);
    search.key = opening.in_key;
    search.entry.addr = packet.key.src;
    search.entry.port = packet.key.src_port;
    search.entry.holds = opening.holds;
    search.entry.addr_delta = checksum::addr_delta(place.external, packet.key.src);
    search.run();
    opening.in_key = search.key;
    search.end
}

#[inline(always)]
fn search<'a, E: Env>(
    env: &'a E,
    packet: &Parsed,
    place: &Place,
    now: u32,
    busy: BusyKey,
    mapped: bool,
) -> Search<'a, E> {
    let wanted = Wanted {
        set: place.set,
        hash: place.hash,
        client_port: packet.key.src_port,
        mapped,
        protocol: packet.key.protocol,
    };
    let nothing = Mapping {
        held: 0,
        addr: [0; 4],
        port: 0,
        filtering: 0,
        is_static: 0,
    };
    let settings = env.settings();
    Search::new(
        env,
        wanted,
        new_entry(settings, Direction::In, now, packet, 0),
        packet.key,
        nothing,
        mappings::outer_key([0; 4], 0, packet.key.protocol),
        busy,
        now,
    )
}

/// Gives back a mapping that the flow can't have.
#[inline(always)]
fn unmap<E: Env>(env: &E, opening: &mut Opening, now: u32) {
    let holds = opening.holds & (hold::MAPPING | hold::PERMISSION);
    life::give_back(env, &opening.in_key, holds, opening.client, now);
    opening.holds &= !holds;
}

#[inline(always)]
fn permit<E: Env>(env: &E, opening: &mut Opening, now: u32) {
    let FlowKey { src, dst, dst_port, protocol, .. } = opening.in_key;
    let key = mappings::permission_key(dst, dst_port, protocol, src);
    // Without room for it the server may answer from the port it was asked at, and from no other.
    if mappings::permit(env, &key, now) {
        opening.holds |= hold::PERMISSION;
    }
}

/// Enters the `In` direction under a key that is already decided. [`Verdict::PortsExhausted`]: another flow
/// has it.
#[inline(never)]
fn enter_in<E: Env>(env: &E, packet: &Parsed, opening: &mut Opening, now: u32) -> Verdict {
    let mut entry = new_entry(env.settings(), Direction::In, now, packet, opening.holds);
    let FlowKey { dst, dst_port, .. } = opening.in_key;
    entry.addr = opening.client;
    entry.port = opening.client_port;
    entry.addr_delta = checksum::addr_delta(dst, opening.client);
    entry.port_delta = checksum::port_delta(dst_port, opening.client_port);
    let mut inserted = env.insert(&opening.in_key, &entry);
    if inserted == Insert::Exists && life::bury(env, &opening.in_key, now, false) {
        inserted = env.insert(&opening.in_key, &entry);
    }
    match inserted {
        Insert::Done => Verdict::TranslatedOut,
        Insert::Full => Verdict::TableFull,
        Insert::Exists => {
            let same = env
                .flow(&opening.in_key)
                .is_some_and(|flow| flow.target() == (opening.client, opening.client_port));
            if !same {
                return Verdict::PortsExhausted;
            }
            opening.elsewhere = true;
            let mut wait = Wait {
                env,
                key: opening.out_key,
                end: Verdict::FlowVanishing,
            };
            env.repeat(PATIENCE, &mut wait);
            wait.end
        }
    }
}

/// Looks made for the other entry of a flow that another CPU is between entering: some 50 us.
const PATIENCE: u32 = 1024;

struct Wait<'a, E> {
    env: &'a E,
    key: FlowKey,
    end: Verdict,
}

impl<E: Env> Step for Wait<'_, E> {
    #[inline(always)]
    fn turn(&mut self, _index: u32) -> bool {
        if self.env.flow(&self.key).is_none() {
            return false;
        }
        self.end = Verdict::TranslatedOut;
        true
    }
}

/// Enters the `Out` direction of a claimed flow; gives the claim back where that fails.
#[inline(never)]
fn enter<E: Env>(env: &E, packet: &Parsed, opening: &Opening, now: u32) -> Verdict {
    let FlowKey { dst, dst_port, .. } = opening.in_key;
    let mut out = new_entry(env.settings(), Direction::Out, now, packet, opening.holds);
    out.addr = dst;
    out.port = dst_port;
    out.addr_delta = checksum::addr_delta(opening.client, dst);
    out.port_delta = checksum::port_delta(opening.client_port, dst_port);
    if let Some(shared) = env.shared() {
        shared.add_flows(1);
    }
    env.event(Event::FlowOpened);
    match env.insert(&opening.out_key, &out) {
        Insert::Done => Verdict::TranslatedOut,
        // Another CPU opened the same flow at the same time: its mapping is the one.
        Insert::Exists => {
            undo(env, opening, now);
            Verdict::TranslatedOut
        }
        Insert::Full => {
            undo(env, opening, now);
            Verdict::TableFull
        }
    }
}

#[inline(always)]
fn undo<E: Env>(env: &E, opening: &Opening, now: u32) {
    env.remove(&opening.in_key);
    life::flow_gone(env, &opening.in_key, opening.holds, opening.client, now);
}

#[inline(always)]
fn external_address<E: Env>(env: &E, index: u32, slot: u32) -> Option<Addr> {
    let addr = match env.pool(index)? {
        [0, 0, 0, 0] => env.interface(slot)?.addr,
        addr => addr,
    };
    (addr != [0; 4]).then_some(addr)
}

#[inline(always)]
fn new_entry(
    settings: Option<&Settings>,
    direction: Direction,
    now: u32,
    packet: &Parsed,
    holds: u8,
) -> FlowEntry {
    let generation = settings.map_or(0, |settings| next_hop::generation(settings, now));
    FlowEntry {
        addr: [0; 4],
        port: 0,
        addr_delta: 0,
        last_seen: now,
        state: life::first_state(packet.key.protocol, holds & hold::FROM_OUTSIDE != 0),
        direction,
        port_delta: 0,
        mtu: 0,
        // Never the current one, so that the first packet asks for the route.
        generation: generation.wrapping_sub(1),
        created: now,
        next_hop: [0; 6],
        egress: 0,
        holds,
        packets: 0,
        bytes: 0,
    }
}
