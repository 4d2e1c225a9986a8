//! A flow's life after birth: its state, its idle timeout, its death.
//!
//! Removing an entry is not atomic with looking at it, so without care a sweep could delete a flow
//! that a packet has just revived, or (worse) one that was opened anew under the same key. Two rules
//! prevent that, whoever removes (the daemon's sweep, or a packet that needs the port):
//!
//! 1. Death is a compare-and-exchange of the authority's word to [`State::Dead`], and only the winner
//!    may delete the two entries.
//! 2. Packets refresh a flow without asking only up to its timeout; behind that they must win the same
//!    exchange. Removal starts [`GRACE`] later. So no packet that saw a live flow can still be under
//!    way when it is removed.

use crate::{
    clients,
    clock::age,
    env::Env,
    event::Event,
    flow::{Addr, FlowKey, Protocol, State},
    flow_ref::{FlowRef, Life},
    log,
    mapping::hold,
    mappings,
    parse::Parsed,
    settings::{Settings, TICK_SHIFT},
    tcp,
    verdict::Verdict,
};

/// Ticks between a flow's timeout and its removal: half a second, far above a packet's stay in here.
pub const GRACE: u32 = 32;

/// Longest time that a flow stays after the configuration ended it, so that both sides hear of it: a minute, in ticks.
const FAREWELL: u32 = (60_000_000_000_u64 >> TICK_SHIFT) as u32;

/// Lost races with other CPUs after which a packet is given up.
const RETRIES: u32 = 3;

/// What [`track`] found.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracked {
    /// The flow is alive (again): translate.
    Alive,
    /// The flow had expired, or the configuration has ended it ([`Parsed::ended`]), so this packet has none.
    Expired,
    /// The flow is being removed right now.
    Vanishing,
}

/// Whether a packet of this entry needs [`track`]: idle too long, or a segment that may change the state.
#[inline(always)]
pub fn needs_tracking(
    settings: &Settings,
    protocol: Protocol,
    tcp_flags: u8,
    life: Life,
    now: u32,
) -> bool {
    let Some(&timeout) = settings.timeouts.get(usize::from(life.state())) else {
        return true;
    };
    now.wrapping_sub(life.last_seen()) > timeout
        || (matches!(protocol, Protocol::Tcp) && tcp::may_change(life.state(), tcp_flags))
}

/// The state of a flow's first packet.
#[inline(always)]
pub const fn first_state(protocol: Protocol, from_outside: bool) -> State {
    match protocol {
        Protocol::Icmp => State::IcmpEcho,
        Protocol::Tcp if from_outside => State::TcpSynReceived,
        Protocol::Tcp => State::TcpSynSent,
        Protocol::Udp | Protocol::UdpLite => State::Udp,
        Protocol::Sctp | Protocol::Gre | Protocol::Esp | Protocol::Other => State::Other,
    }
}

/// The key of the entry of the other direction.
#[inline(always)]
pub fn partner(key: &FlowKey, flow: FlowRef<'_>) -> FlowKey {
    let (addr, port) = flow.target();
    if flow.life().is_inbound() {
        FlowKey {
            src: addr,
            src_port: port,
            dst: key.src,
            dst_port: key.src_port,
            ..*key
        }
    } else {
        FlowKey {
            src: key.dst,
            src_port: key.dst_port,
            dst: addr,
            dst_port: port,
            ..*key
        }
    }
}

/// Settles whether the flow lives and what state this packet puts it in, and writes that to both entries.
#[inline(never)]
pub fn track<E: Env>(env: &E, packet: &mut Parsed, now: u32) -> Tracked {
    let (Some(settings), Some(own)) = (env.settings(), env.flow(&packet.key)) else {
        return Tracked::Vanishing;
    };
    let partner_key = partner(&packet.key, own);
    let Some(other) = env.flow(&partner_key) else {
        return Tracked::Vanishing;
    };
    let inbound = own.life().is_inbound();
    let (authority, follower) = if inbound { (own, other) } else { (other, own) };
    // Elements of the map are used again at once: either may have become another flow's meanwhile.
    let client = authority.target();
    let (from, to) = if inbound {
        (&partner_key, &packet.key)
    } else {
        (&packet.key, &partner_key)
    };
    if client != (from.src, from.src_port)
        || follower.target() != (to.dst, to.dst_port)
        || !authority.life().is_inbound()
        || follower.life().is_inbound()
    {
        return Tracked::Vanishing;
    }
    let mut tries = 0;
    while tries < RETRIES {
        tries += 1;
        let life = authority.life();
        let Some(&timeout) = settings.timeouts.get(usize::from(life.state())) else {
            if is_ended(life) {
                packet.ended = true;
                return Tracked::Expired;
            }
            return Tracked::Vanishing;
        };
        let expired = idle(now, life, follower.life()) > timeout;
        // From outside only where it once was let in: the flow still holds its mapping.
        let may_open = || !inbound || is_let_in(env, &packet.key, authority);
        if expired && !(packet.opens && may_open()) {
            return Tracked::Expired;
        }
        let state = if expired {
            first_state(packet.key.protocol, inbound) as u8
        } else {
            tcp::next(life.state(), inbound, packet.tcp_flags)
        };
        // Also for a packet that goes out, which counts in the other entry: it may be settled once more (the
        // fast path leaves it to the engine), and a state that it has just begun may be too short for how
        // long the flow was idle before.
        let new = life.with_state(state).with_last_seen(now);
        if authority.exchange_life(life, new) {
            if expired {
                authority.renew(now);
                follower.renew(now);
            }
            follower.set_state(state);
            return Tracked::Alive;
        }
    }
    Tracked::Vanishing
}

/// Whether the configuration has ended the flow of this entry.
#[inline(always)]
pub fn is_ended(life: Life) -> bool {
    life.state() == State::Ended as u8
}

/// Ends the flow whose `In` entry has this key: from now on whoever speaks is told, and no packet passes. True for the one
/// who did it.
#[inline(never)]
pub fn end<E: Env>(env: &E, in_key: &FlowKey, now: u32) -> bool {
    const ENDED: u8 = State::Ended as u8;
    let Some(authority) = env.flow(in_key) else {
        return false;
    };
    let out_key = partner(in_key, authority);
    let mut ended = false;
    let mut tries = 0;
    while tries < RETRIES {
        tries += 1;
        let life = authority.life();
        if !life.is_inbound() || life.state() == State::Dead as u8 {
            return false;
        }
        let new = life.with_state(ENDED).with_last_seen(now);
        if is_ended(life) || authority.exchange_life(life, new) {
            ended = !is_ended(life);
            break;
        }
    }
    // Also where it was ended before: a packet that was under way then may have written its state over this.
    if is_ended(authority.life())
        && let Some(out) = env.flow(&out_key)
        && !out.life().is_inbound()
        && out.target() == (in_key.dst, in_key.dst_port)
    {
        out.set_state(ENDED);
    }
    ended
}

/// Removes the ended flow in whose place the client may open another at once.
#[inline(always)]
pub fn make_way<E: Env>(env: &E, out_key: &FlowKey, now: u32) {
    if let Some(out) = env.flow(out_key)
        && is_ended(out.life())
        && !out.life().is_inbound()
    {
        let in_key = partner(out_key, out);
        if env.flow(&in_key).is_some_and(|back| {
            is_ended(back.life()) && back.target() == (out_key.src, out_key.src_port)
        }) {
            bury(env, &in_key, now, true);
        }
    }
}

/// Whether a flow was opened from outside, and may be so still.
#[inline(always)]
fn is_let_in<E: Env>(env: &E, in_key: &FlowKey, flow: FlowRef<'_>) -> bool {
    let FlowKey {
        dst,
        dst_port,
        protocol,
        ..
    } = *in_key;
    flow.holds() & hold::FROM_OUTSIDE != 0
        && env
            .mapping(&mappings::outer_key(dst, dst_port, protocol))
            .is_some_and(|mapping| mapping.target() == flow.target())
}

/// Removes the flow whose `In` entry has this key, if it is idle for longer than its timeout and
/// [`GRACE`], or if `force`. True if it is gone.
#[inline(never)]
pub fn bury<E: Env>(env: &E, in_key: &FlowKey, now: u32, force: bool) -> bool {
    let (Some(settings), Some(authority)) = (env.settings(), env.flow(in_key)) else {
        return false;
    };
    let life = authority.life();
    let Some(timeout) = longest(settings, life) else {
        return false;
    };
    if !life.is_inbound() {
        return false;
    }
    let limit = timeout.saturating_add(GRACE);
    let out_key = partner(in_key, authority);
    let holds = authority.holds();
    let follower = env
        .flow(&out_key)
        .filter(|out| !out.life().is_inbound() && out.target() == (in_key.dst, in_key.dst_port));
    let out_life = follower.map_or(life, |out| out.life());
    if !force && idle(now, life, out_life) <= limit {
        return false;
    }
    let dead = life.with_state(State::Dead as u8);
    if !authority.exchange_life(life, dead) {
        return false;
    }
    // A packet that went out in between keeps the flow; so does a busy bucket, until the next sweep.
    let kept = follower.is_some_and(|out| {
        let used = !force && idle(now, life, out.life()) <= limit;
        used || !env.remove(&out_key)
    });
    // Nobody else changes a dead word, so giving it back can't fail.
    let go_on = || !authority.exchange_life(dead, life);
    if kept {
        return go_on();
    }
    // Before the port can be another's, so that the lines of a port are in order.
    let client = (out_key.src, out_key.src_port);
    log::flow(env, log::Kind::FlowRemoved, in_key, holds, client);
    if !env.remove(in_key) {
        log::flow(env, log::Kind::FlowOpened, in_key, holds, client);
        return go_on();
    }
    env.event(why_removed(life.state(), force));
    flow_gone(env, in_key, holds, out_key.src, now);
    true
}

/// How long the flow of this entry stays while it is idle.
#[inline(always)]
fn longest(settings: &Settings, life: Life) -> Option<u32> {
    if is_ended(life) {
        return Some(farewell(settings));
    }
    settings.timeouts.get(usize::from(life.state())).copied()
}

/// How long a flow stays that the configuration has ended: as a closed one, at most a minute.
#[inline(always)]
#[must_use]
pub const fn farewell(settings: &Settings) -> u32 {
    let closed = settings.timeouts[State::TcpClosing as usize];
    if closed < FAREWELL { closed } else { FAREWELL }
}

#[inline(always)]
const fn why_removed(state: u8, force: bool) -> Event {
    const UNANSWERED: [u8; 2] = [State::TcpSynSent as u8, State::TcpSynReceived as u8];
    const RESET: u8 = State::TcpReset as u8;
    if state == State::Ended as u8 {
        Event::RemovedConfig
    } else if force {
        Event::RemovedFlushed
    } else if state == UNANSWERED[0] || state == UNANSWERED[1] {
        Event::RemovedUnanswered
    } else if state == RESET {
        Event::RemovedReset
    } else if state >= State::TcpFinOut as u8 && state <= State::TcpClosing as u8 {
        Event::RemovedClosed
    } else {
        Event::RemovedIdle
    }
}

/// A flow's entries are removed: gives back all that it had.
#[inline(always)]
pub fn flow_gone<E: Env>(env: &E, in_key: &FlowKey, holds: u8, client: Addr, now: u32) {
    env.event(Event::FlowRemoved);
    if let Some(shared) = env.shared() {
        shared.add_flows(-1);
    }
    if let Some(busy) = env.busy(&mappings::busy_towards(in_key)) {
        busy.clear(in_key.dst_port);
    }
    give_back(env, in_key, holds, client, now);
}

/// Gives back what `holds` says of a flow with this `In` key.
#[inline(never)]
pub fn give_back<E: Env>(env: &E, in_key: &FlowKey, holds: u8, client: Addr, now: u32) {
    let FlowKey {
        src,
        dst,
        dst_port,
        protocol,
        ..
    } = *in_key;
    if holds & hold::MAPPING != 0 {
        let key = mappings::outer_key(dst, dst_port, protocol);
        mappings::release(env, &key, client, now);
    }
    if holds & hold::PERMISSION != 0 {
        let key = mappings::permission_key(dst, dst_port, protocol, src);
        mappings::release(env, &key, client, now);
    }
    if holds & hold::CLIENT != 0 {
        clients::leave(env, client, now);
    }
}

/// Whether an entry by itself has been idle for longer than its timeout.
#[inline(always)]
pub fn is_idle<E: Env>(env: &E, life: Life, now: u32) -> bool {
    env.settings()
        .and_then(|settings| settings.timeouts.get(usize::from(life.state())))
        .is_none_or(|&timeout| age(now, life.last_seen()) > timeout)
}

/// Ticks since either direction was last used.
#[inline(always)]
fn idle(now: u32, a: Life, b: Life) -> u32 {
    age(now, a.last_seen()).min(age(now, b.last_seen()))
}

/// The verdict for a client's packet that has no live flow and opens none.
#[inline(always)]
pub const fn stray(protocol: Protocol) -> Verdict {
    match protocol {
        Protocol::Tcp => Verdict::TcpNoFlow,
        _ => Verdict::IcmpType,
    }
}
