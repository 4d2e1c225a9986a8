//! Where a new flow's external port is to be: address, set of ports, and where the search begins.

use crate::{
    env::Env,
    flow::{Addr, FlowKey},
    mappings,
    policy::Grant,
    settings::Mapping,
    share, siphash,
    work::Work,
};

/// Finds it and notes it in `work`. False if there is no external address.
#[inline(never)]
pub fn find<E: Env>(env: &E, work: &mut Work) -> bool {
    let (Some(settings), Some(entry)) = (env.settings(), env.entry(work.grant.entry)) else {
        return false;
    };
    let FlowKey {
        src,
        src_port,
        dst,
        dst_port,
        protocol,
        ..
    } = work.packet;
    let client = u64::from(u32::from_be_bytes(src));
    // Paired pooling: a client keeps its address of the pool, whatever the protocol (RFC 4787 REQ-2).
    let pick = siphash::hash(&settings.secret, client, 0) as u32 % u32::from(entry.pool_len).max(1);
    let index = u32::from(entry.pool_first) + pick;
    let identity = u64::from(src_port) << 8 | protocol as u64;
    let (mut who, mut what) = (client, identity | 1 << 32);
    if entry.mapping == Mapping::AddressAndPortDependent as u8 {
        who |= u64::from(u32::from_be_bytes(dst)) << 32;
        what |= u64::from(dst_port) << 40;
    }
    work.hash = siphash::hash(&settings.secret, who, what);
    let Some(external) = external_address(env, index, work) else {
        return false;
    };
    work.set = entry.port_set;
    work.mapping_mode = entry.mapping;
    work.filtering = entry.filtering;
    work.in_key.src = dst;
    work.in_key.src_port = dst_port;
    work.in_key.dst = external;
    work.in_key.dst_port = src_port;
    work.inner = mappings::inner_key(src, src_port, protocol);
    work.outer = mappings::outer_key(external, 0, protocol);
    true
}

/// An address of the pool, or what stands for the egress interface's.
#[inline(always)]
fn external_address<E: Env>(env: &E, index: u32, work: &Work) -> Option<Addr> {
    let addr = match env.pool(index)? {
        [0, 0, 0, 0] => {
            let Grant {
                egress, balanced, ..
            } = work.grant;
            let slot = if balanced == 0 {
                egress
            } else {
                share::pick(env, work.hash).unwrap_or(egress)
            };
            env.interface(slot)?.addr
        }
        addr => addr,
    };
    (addr != [0; 4]).then_some(addr)
}
