//! A connection that the kernel's NAT has opened becomes a flow of ours, with the external endpoint that it has.
//!
//! How it is asked for: a frame of `prog_test_run` of 14 bytes that stand for an Ethernet header, two unused ones and
//! an [`Adoption`]. The program returns a number of [`Adopted`].

use crate::{
    claim::{enter_in, enter_mapped, enter_out, let_in},
    clients,
    env::{Env, Insert},
    flow::{Addr, FlowKey, State},
    held::Held,
    life,
    mapping::hold,
    mappings,
    verdict::Verdict,
    work::Work,
};

/// Offset of the [`Adoption`].
pub const ADOPTION_AT: u32 = 16;

/// A connection as the kernel has it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adoption {
    /// The key of its packets from outside.
    pub in_key: FlowKey,
    /// The client.
    pub client: Addr,
    /// Its port or echo identifier.
    pub client_port: u16,
    /// Where it stands.
    pub state: State,
    /// A set of [`origin`]s.
    pub origin: u8,
    /// For how many ticks it counts as idle already.
    pub idle: u32,
    /// Number of a [`crate::settings::Filtering`].
    pub filtering: u8,
    /// Always zero.
    pub zero: [u8; 3],
}

const _: () = assert!(size_of::<Adoption>() == 32);

/// Bits of [`Adoption::origin`].
pub mod origin {
    /// The external port may be the client endpoint's own towards everybody.
    pub const OWN_PORT: u8 = 1;
    /// It was opened from outside, through a port forward.
    pub const OUTSIDE: u8 = 2;
}

/// What became of it.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adopted {
    /// It is a flow now.
    Done = 1,
    /// It was one already.
    Already = 2,
    /// Another flow has its external endpoint towards that server, or its client's.
    Taken = 3,
    /// There is no room.
    Full = 4,
}

/// Enters both directions of the connection, and all that goes with a flow. Limits of clients do not count.
#[inline(never)]
pub fn adopt<E: Env>(env: &E, adoption: &Adoption, work: &mut Work, now: u32) -> Adopted {
    begin(adoption, work, now);
    let external = (work.in_key.dst, work.in_key.dst_port);
    if env
        .flow(&work.out_key)
        .is_some_and(|out| out.target() != external)
    {
        return Adopted::Taken;
    }
    clients::adopt(env, work);
    let mut end = enter(env, work, adoption.origin);
    if end == Verdict::TranslatedOut && work.elsewhere == 0 {
        end = enter_out(env, work);
    } else {
        life::give_back(env, &work.in_key, work.holds, work.grant.client, now);
    }
    match end {
        Verdict::TranslatedOut if work.elsewhere == 0 => Adopted::Done,
        Verdict::TranslatedOut => Adopted::Already,
        Verdict::TableFull => Adopted::Full,
        _ => Adopted::Taken,
    }
}

#[inline(always)]
fn begin(adoption: &Adoption, work: &mut Work, now: u32) {
    let Adoption {
        in_key,
        client,
        client_port,
        state,
        idle,
        ..
    } = *adoption;
    work.in_key = in_key;
    work.out_key = FlowKey {
        src: client,
        src_port: client_port,
        dst: in_key.src,
        dst_port: in_key.src_port,
        ..in_key
    };
    work.packet = work.in_key;
    work.grant.client = client;
    work.grant.client_port = client_port;
    work.grant.from_outside = u8::from(adoption.origin & origin::OUTSIDE != 0);
    work.filtering = adoption.filtering;
    work.state = state;
    work.now = now;
    work.last_seen = now.wrapping_sub(idle);
    work.holds = 0;
    work.elsewhere = 0;
}

#[inline(always)]
fn enter<E: Env>(env: &E, work: &mut Work, from: u8) -> Verdict {
    if from & origin::OUTSIDE != 0 {
        return let_in(env, work);
    }
    if from & origin::OWN_PORT != 0 && own(env, work) {
        work.holds |= hold::MAPPING;
        return enter_mapped(env, work);
    }
    enter_in(env, work)
}

/// Makes the external port the endpoint's own. Not where it has another one, or another has this one.
#[inline(never)]
fn own<E: Env>(env: &E, work: &mut Work) -> bool {
    let (external, protocol) = (work.in_key, work.in_key.protocol);
    let wanted = mappings::outer_key(external.dst, external.dst_port, protocol);
    let (client, port) = (work.grant.client, work.grant.client_port);
    work.inner = mappings::inner_key(client, port, protocol);
    work.outer = wanted;
    if mappings::acquire(env, work) {
        if work.outer == wanted {
            return true;
        }
        mappings::release(env, &work.outer, client, work.now);
        return false;
    }
    work.outer = wanted;
    work.mapping.held = Held::by(1, work.now);
    work.mapping.addr = client;
    work.mapping.port = port;
    work.mapping.filtering = work.filtering;
    work.mapping.is_static = 0;
    env.add_mapping(&work.outer, &work.mapping) == Insert::Done && mappings::confirm(env, work)
}
