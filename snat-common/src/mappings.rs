//! Mappings: which external port is a client endpoint's own, and who may speak to it (RFC 4787 §4 and §5).
//!
//! A mapping is two elements of one map, one from each side. The outer one is the mapping itself: it is the
//! claim to the port, and counts the flows that need it. An inner one without its outer is void.

use crate::{
    env::{Env, Insert},
    event::Event,
    flow::{Addr, FlowKey, Protocol},
    held::Held,
    log,
    mapping::{BusyKey, MappingKey, MappingKind},
    settings::{Filtering, Settings},
    work::Work,
};

/// Key of the mapping of an external endpoint.
#[inline(always)]
#[must_use]
pub const fn outer_key(addr: Addr, port: u16, protocol: Protocol) -> MappingKey {
    MappingKey {
        addr,
        peer: [0; 4],
        port,
        protocol,
        kind: MappingKind::Outer,
    }
}

/// Key of the mapping of a client's endpoint.
#[inline(always)]
#[must_use]
pub const fn inner_key(addr: Addr, port: u16, protocol: Protocol) -> MappingKey {
    MappingKey {
        kind: MappingKind::Inner,
        ..outer_key(addr, port, protocol)
    }
}

/// Key of the permission of a server to speak to an external endpoint.
#[inline(always)]
#[must_use]
pub const fn permission_key(addr: Addr, port: u16, protocol: Protocol, peer: Addr) -> MappingKey {
    MappingKey {
        kind: MappingKind::Permission,
        peer,
        ..outer_key(addr, port, protocol)
    }
}

/// The mapping of the client's endpoint, held once more; `work.outer` becomes its key. An inner element
/// whose outer one is gone, or is another's by now, is removed.
#[inline(never)]
pub fn acquire<E: Env>(env: &E, work: &mut Work) -> bool {
    let Some(inner) = env.mapping(&work.inner) else {
        return false;
    };
    (work.outer.addr, work.outer.port) = inner.target();
    match env.mapping(&work.outer) {
        Some(outer) if outer.target() == (work.inner.addr, work.inner.port) => {
            outer.held().acquire()
        }
        // What the configuration made goes with it alone.
        _ if inner.is_static() => false,
        _ => {
            env.remove_mapping(&work.inner);
            false
        }
    }
}

/// Enters the inner element of a mapping that was just claimed. False where another CPU was first; then
/// the claim is given back.
#[inline(never)]
pub fn confirm<E: Env>(env: &E, work: &mut Work) -> bool {
    work.mapping.held = 0;
    work.mapping.addr = work.outer.addr;
    work.mapping.port = work.outer.port;
    let first = env.add_mapping(&work.inner, &work.mapping) == Insert::Done;
    if first || !give_back(env, work) {
        env.event(Event::MappingMade);
        let client = (work.inner.addr, work.inner.port);
        log::mapping(env, log::Kind::MappingMade, &work.outer, client);
    }
    first
}

/// Removes the claim that the caller alone holds. False where somebody outside has found it already: then it
/// is a mapping, which retires like any other.
#[inline(always)]
fn give_back<E: Env>(env: &E, work: &Work) -> bool {
    let Some(claimed) = env.mapping(&work.outer) else {
        return true;
    };
    if !claimed.held().retire(1, work.now, 0) {
        claimed.held().release(work.now);
        return false;
    }
    if !env.remove_mapping(&work.outer) {
        claimed.held().spare(work.now);
        return false;
    }
    unmark(env, &work.outer);
    true
}

/// Removes the mapping or permission that nobody has needed for as long as ports rest. True if it is gone.
#[inline(never)]
pub fn retire<E: Env>(env: &E, key: &MappingKey, now: u32) -> bool {
    let (Some(settings), Some(mapping)) = (env.settings(), env.mapping(key)) else {
        return false;
    };
    let Settings { port_rest, .. } = *settings;
    if mapping.is_static()
        || matches!(key.kind, MappingKind::Inner)
        || !mapping.held().retire(0, now, port_rest)
    {
        return false;
    }
    let is_outer = matches!(key.kind, MappingKind::Outer);
    let (addr, port) = mapping.target();
    if is_outer {
        // Before the port can be another's, so that the lines of a port are in order.
        log::mapping(env, log::Kind::MappingRemoved, key, (addr, port));
    }
    if !env.remove_mapping(key) {
        mapping.held().spare(now);
        if is_outer {
            log::mapping(env, log::Kind::MappingMade, key, (addr, port));
        }
        return false;
    }
    if is_outer {
        let client = inner_key(addr, port, key.protocol);
        if env
            .mapping(&client)
            .is_some_and(|inner| inner.target() == (key.addr, key.port) && !inner.is_static())
        {
            // Without its outer element it is void, whether this succeeds or not.
            env.remove_mapping(&client);
        }
        env.event(Event::MappingRemoved);
    }
    unmark(env, key);
    true
}

/// Has a client's mapping let in others from now on. True if it did not before.
#[inline(always)]
pub fn refilter<E: Env>(env: &E, key: &MappingKey, filtering: u8) -> bool {
    let Some(mapping) = env.mapping(key) else {
        return false;
    };
    let differs = !mapping.is_static() && mapping.filtering() != filtering;
    if differs {
        mapping.set_filtering(filtering);
    }
    differs
}

/// Sees to it that no new flow finds a client's mapping, from either side. It stays as long as flows hold it.
#[inline(always)]
pub fn revoke<E: Env>(env: &E, key: &MappingKey) -> bool {
    let Some(mapping) = env.mapping(key) else {
        return false;
    };
    if mapping.is_static() || !matches!(key.kind, MappingKind::Outer) {
        return false;
    }
    mapping.set_filtering(Filtering::AddressAndPortDependent as u8);
    let (addr, port) = mapping.target();
    let client = inner_key(addr, port, key.protocol);
    let leads_here = env
        .mapping(&client)
        .is_some_and(|inner| inner.target() == (key.addr, key.port) && !inner.is_static());
    leads_here && env.remove_mapping(&client)
}

/// Gives back what a client's flow held of its mapping, or its permission.
#[inline(always)]
pub fn release<E: Env>(env: &E, key: &MappingKey, client: Addr, now: u32) {
    if let Some(mapping) = env.mapping(key)
        // A forward may have gone from the configuration meanwhile, and its port be another's.
        && (mapping.target().0 == client || matches!(key.kind, MappingKind::Permission))
    {
        mapping.held().release(now);
    }
}

/// Lets a server speak to an external endpoint from any port, for as long as the flow lives. False where
/// there is no room for that.
#[inline(never)]
pub fn permit<E: Env>(env: &E, work: &mut Work) -> bool {
    if joins(env, work) {
        return true;
    }
    work.mapping.held = Held::by(1, work.now);
    work.mapping.addr = work.grant.client;
    work.mapping.port = work.grant.client_port;
    work.mapping.filtering = work.filtering;
    work.mapping.is_static = 0;
    match env.add_mapping(&work.permission, &work.mapping) {
        Insert::Done => true,
        Insert::Exists => joins(env, work),
        Insert::Full => false,
    }
}

#[inline(always)]
fn joins<E: Env>(env: &E, work: &Work) -> bool {
    env.mapping(&work.permission)
        .is_some_and(|permission| permission.held().acquire())
}

/// Whether somebody outside has been given leave to speak to an external endpoint.
#[inline(always)]
pub fn is_live<E: Env>(env: &E, key: &MappingKey) -> bool {
    env.mapping(key).is_some_and(|mapping| mapping.is_live())
}

/// Key of the ports taken towards one destination.
#[inline(always)]
#[must_use]
pub const fn busy_towards(in_key: &FlowKey) -> BusyKey {
    BusyKey {
        external: in_key.dst,
        peer: in_key.src,
        port: in_key.src_port,
        protocol: in_key.protocol,
        zero: 0,
    }
}

/// Key of the ports that are some endpoint's own.
#[inline(always)]
#[must_use]
pub const fn busy_altogether(external: Addr, protocol: Protocol) -> BusyKey {
    BusyKey {
        external,
        peer: [0; 4],
        port: 0,
        protocol,
        zero: 0,
    }
}

#[inline(always)]
fn unmark<E: Env>(env: &E, key: &MappingKey) {
    if matches!(key.kind, MappingKind::Outer)
        && let Some(busy) = env.busy(&busy_altogether(key.addr, key.protocol))
    {
        busy.clear(key.port);
    }
}
