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
const TRIES: u32 = 64;

/// Gives the flow its external address and port, and enters both directions.
///
/// Inserting the `In` entry is the claim: the key has everything that makes a reply unambiguous, so a
/// port can serve any number of destinations, and of two CPUs that want the same one the map lets one in.
///
/// [`Verdict::TranslatedOut`] says that the flow is there; everything else is why it is not.
#[inline(never)]
pub fn claim<E: Env>(env: &E, packet: &Parsed, grant: Grant, now: u32) -> Verdict {
    let (Some(settings), Some(entry)) = (env.settings(), env.entry(grant.entry)) else {
        return Verdict::PortsExhausted;
    };
    let key = packet.key;
    let client = u64::from(u32::from_be_bytes(key.src));
    // Paired pooling: a client keeps its external address, whatever the protocol (RFC 4787 REQ-2).
    let pick = siphash::hash(&settings.secret, client, 0) as u32 % u32::from(entry.pool_len).max(1);
    let Some(external) = external_address(env, u32::from(entry.pool_first) + pick, grant.egress)
    else {
        return Verdict::PortsExhausted;
    };
    let count = env.port_count(entry.port_set);
    if count == 0 {
        return Verdict::PortsExhausted;
    }
    let identity = u64::from(key.src_port) << 8 | key.protocol as u64;
    // Where the search begins depends on the client's endpoint alone, so that as long as that port is
    // free a client's port looks the same to every destination (RFC 4787 REQ-1).
    let start = siphash::hash(&settings.secret, client, identity | 1 << 32) as u32 % count;

    let mut search = Search {
        env,
        entry: new_entry(settings, Direction::In, now, packet),
        key: FlowKey {
            src: key.dst,
            dst: external,
            src_port: key.dst_port,
            dst_port: 0,
            protocol: key.protocol,
            zero: [0; 3],
        },
        set: entry.port_set,
        start,
        count,
        now,
        end: Verdict::PortsExhausted,
    };
    search.entry.addr = key.src;
    search.entry.port = key.src_port;
    search.entry.addr_delta = checksum::addr_delta(external, key.src);
    env.repeat(count.min(TRIES), &mut search);
    match search.end {
        Verdict::TranslatedOut => enter(env, packet, &search.key, now),
        refused => refused,
    }
}

/// The search for a port that is free towards one destination.
struct Search<'a, E> {
    env: &'a E,
    /// The `In` entry to be.
    entry: FlowEntry,
    key: FlowKey,
    set: u32,
    start: u32,
    count: u32,
    now: u32,
    /// [`Verdict::TranslatedOut`] once the key is claimed.
    end: Verdict,
}

impl<E: Env> Step for Search<'_, E> {
    #[inline(always)]
    fn turn(&mut self, index: u32) -> bool {
        let mut position = self.start.wrapping_add(index);
        if position >= self.count {
            position = position.wrapping_sub(self.count);
        }
        let Some(port) = self.env.port(self.set, position) else {
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
