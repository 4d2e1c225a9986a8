//! A new flow's external address and port.

use crate::{
    checksum,
    env::{Env, Insert, Step},
    flow::{Addr, Direction, FlowEntry, FlowKey},
    life, next_hop,
    parse::Parsed,
    policy::Grant,
    settings::Settings,
    siphash,
    verdict::Verdict,
};

/// Ports tried before a flow is refused.
const TRIES: u32 = 1024;

/// Steps from one port tried to the next. Primes beyond the size of any set, so that each visits every
/// port of it once; several, so that flows which begin at the same port part ways.
const STEPS: [u32; 8] = [
    65_537, 65_539, 65_543, 65_551, 65_557, 65_563, 65_579, 65_581,
];

/// Gives the flow its external address and port, and enters both directions.
///
/// Inserting the `In` entry is the claim: the key has everything that makes a reply unambiguous, so a
/// port can serve any number of destinations, and of two CPUs that want the same one the map lets one in.
///
/// [`Verdict::TranslatedOut`] says that the flow is there; everything else is why it is not.
#[inline(never)]
pub fn claim<E: Env>(env: &E, packet: &Parsed, grant: Grant, now: u32) -> Verdict {
    let mut place = Place {
        external: [0; 4],
        set: 0,
        start: 0,
        step: 0,
        count: 0,
    };
    if !find_place(env, packet, grant, &mut place) {
        return Verdict::PortsExhausted;
    }
    let Some(settings) = env.settings() else {
        return Verdict::PortsExhausted;
    };
    let FlowKey {
        src,
        dst,
        src_port,
        dst_port,
        protocol,
        zero,
    } = packet.key;
    let mut search = Search {
        env,
        entry: new_entry(settings, Direction::In, now, packet),
        key: FlowKey {
            src: dst,
            dst: place.external,
            src_port: dst_port,
            dst_port: 0,
            protocol,
            zero,
        },
        place,
        now,
        end: Verdict::PortsExhausted,
    };
    search.entry.addr = src;
    search.entry.port = src_port;
    search.entry.addr_delta = checksum::addr_delta(place.external, src);
    env.repeat(place.count.min(TRIES), &mut search);
    match search.end {
        Verdict::TranslatedOut => enter(env, packet, &search.key, now),
        refused => refused,
    }
}

/// Where the search goes on.
#[derive(Clone, Copy)]
struct Place {
    external: Addr,
    /// Index in `PORT_SETS`.
    set: u32,
    /// First port tried, as an index of the set.
    start: u32,
    /// How far the next one is.
    step: u32,
    /// Ports in the set.
    count: u32,
}

/// Chooses the external address and the first port. False where the entry has none.
///
/// A function of its own, so that its stack is given back before the search.
#[inline(never)]
fn find_place<E: Env>(env: &E, packet: &Parsed, grant: Grant, place: &mut Place) -> bool {
    let (Some(settings), Some(entry)) = (env.settings(), env.entry(grant.entry)) else {
        return false;
    };
    let client = u64::from(u32::from_be_bytes(packet.key.src));
    // Paired pooling: a client keeps its external address, whatever the protocol (RFC 4787 REQ-2).
    let pick = siphash::hash(&settings.secret, client, 0) as u32 % u32::from(entry.pool_len).max(1);
    let count = env.port_count(entry.port_set);
    let Some(external) = external_address(env, u32::from(entry.pool_first) + pick, grant.egress)
    else {
        return false;
    };
    if count == 0 {
        return false;
    }
    // Where the search begins depends on the client's endpoint alone, so that as long as that port is
    // free a client's port looks the same to every destination (RFC 4787 REQ-1).
    let identity = u64::from(packet.key.src_port) << 8 | packet.key.protocol as u64;
    let hash = siphash::hash(&settings.secret, client, identity | 1 << 32);
    let start = hash as u32 % count;
    let step = STEPS[(hash >> 61) as usize];
    *place = Place {
        external,
        set: entry.port_set,
        start,
        step,
        count,
    };
    true
}

/// The search for a port that is free towards one destination.
struct Search<'a, E> {
    env: &'a E,
    /// The `In` entry to be.
    entry: FlowEntry,
    key: FlowKey,
    place: Place,
    now: u32,
    /// [`Verdict::TranslatedOut`] once the key is claimed.
    end: Verdict,
}

impl<E: Env> Step for Search<'_, E> {
    #[inline(always)]
    fn turn(&mut self, index: u32) -> bool {
        let Place {
            start,
            step,
            count,
            set,
            ..
        } = self.place;
        // Below 2^27: no overflow. A count of 0 has no turns.
        let position = (start + index * step) % count.max(1);
        // 0 is no port: the set is being rewritten.
        let Some(port) = self.env.port(set, position).filter(|port| *port != 0) else {
            return false;
        };
        self.key.dst_port = port;
        self.entry.port_delta = checksum::port_delta(port, self.entry.port);
        let mut inserted = self.env.insert(&self.key, &self.entry);
        // An expired flow does not keep its port from others, also while no daemon sweeps.
        if inserted == Insert::Exists && life::bury(self.env, &self.key, self.now, false) {
            inserted = self.env.insert(&self.key, &self.entry);
        }
        match inserted {
            Insert::Done => self.end = Verdict::TranslatedOut,
            Insert::Full => self.end = Verdict::TableFull,
            Insert::Exists => return false,
        }
        true
    }
}

/// Enters the `Out` direction of a claimed flow; gives the claim back where that fails.
#[inline(never)]
fn enter<E: Env>(env: &E, packet: &Parsed, in_key: &FlowKey, now: u32) -> Verdict {
    let Some(settings) = env.settings() else {
        return Verdict::PortsExhausted;
    };
    let mut out = new_entry(settings, Direction::Out, now, packet);
    out.addr = in_key.dst;
    out.port = in_key.dst_port;
    out.addr_delta = checksum::addr_delta(packet.key.src, in_key.dst);
    out.port_delta = checksum::port_delta(packet.key.src_port, in_key.dst_port);
    match env.insert(&packet.key, &out) {
        Insert::Done => Verdict::TranslatedOut,
        Insert::Exists => {
            // Another CPU opened the same flow at the same time: its mapping is the one.
            env.remove(in_key);
            Verdict::TranslatedOut
        }
        Insert::Full => {
            env.remove(in_key);
            Verdict::TableFull
        }
    }
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
fn new_entry(settings: &Settings, direction: Direction, now: u32, packet: &Parsed) -> FlowEntry {
    FlowEntry {
        addr: [0; 4],
        port: 0,
        addr_delta: 0,
        last_seen: now,
        state: life::first_state(packet.key.protocol),
        direction,
        port_delta: 0,
        mtu: 0,
        // Never the current one, so that the first packet asks for the route.
        generation: next_hop::generation(settings, now).wrapping_sub(1),
        created: now,
        next_hop: [0; 6],
        egress: 0,
        packets: 0,
        bytes: 0,
    }
}
