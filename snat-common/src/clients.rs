//! What one client may take: so many flows, so many a second, its share of a table that is nearly full.

use crate::{
    env::Env,
    event::Event,
    flow::Addr,
    held::Held,
    mapping::{Client, hold},
    recycle,
    settings::Settings,
    verdict::Verdict,
    work::Work,
};

/// Ticks that a client without flows is remembered, so that its rates are held: 17 s.
pub const REST: u32 = 1024;

/// Lets a client have one more flow, and counts it: [`Verdict::TranslatedOut`] says that it may.
#[inline(never)]
pub fn enter<E: Env>(env: &E, work: &mut Work) -> Verdict {
    let (addr, now) = (work.grant.client, work.now);
    let Some(settings) = env.settings() else {
        return Verdict::TableFull;
    };
    let all = || env.shared().map_or(0, |shared| shared.load().0);
    if is_nearly_full(settings, all()) {
        recycle::make_room(env, now);
    }
    if env.client(addr).is_none() {
        let client = Client {
            held: Held::by(0, now),
            new_flows: 0,
            fragments: 0,
        };
        if !env.add_client(addr, &client) {
            env.event(Event::ClientUncounted);
            // Nobody knows what it has already.
            return if is_nearly_full(settings, all()) {
                Verdict::ShareLimit
            } else {
                Verdict::TranslatedOut
            };
        }
    }
    let (Some(client), Some(shared)) = (env.client(addr), env.shared()) else {
        return Verdict::TranslatedOut;
    };
    let flows = Held::holders(client.held().read());
    let limit = settings.flows_per_source;
    if limit != 0 && flows >= limit {
        return Verdict::SourceLimit;
    }
    if takes_too_much(settings, flows, shared.load()) {
        return Verdict::ShareLimit;
    }
    let rate = settings.new_flows_per_source;
    if rate != 0 && !client.take_new_flow(rate, now) {
        return Verdict::SourceRate;
    }
    match client.held().join() {
        None => return Verdict::FlowVanishing,
        Some(0) => shared.add_clients(1),
        // Others have come in the same moment.
        Some(before) if limit != 0 && before >= limit => {
            client.held().release(now);
            return Verdict::SourceLimit;
        }
        Some(_) => {}
    }
    work.holds |= hold::CLIENT;
    Verdict::TranslatedOut
}

/// Counts a flow that the client has had before it was ours, whatever it may have.
#[inline(always)]
pub fn adopt<E: Env>(env: &E, work: &mut Work) {
    let (addr, now) = (work.grant.client, work.now);
    if env.client(addr).is_none() {
        let client = Client {
            held: Held::by(0, now),
            new_flows: 0,
            fragments: 0,
        };
        if !env.add_client(addr, &client) {
            env.event(Event::ClientUncounted);
            return;
        }
    }
    let Some(before) = env.client(addr).and_then(|client| client.held().join()) else {
        return;
    };
    if before == 0
        && let Some(shared) = env.shared()
    {
        shared.add_clients(1);
    }
    work.holds |= hold::CLIENT;
}

/// Takes a flow off its client's.
#[inline(always)]
pub fn leave<E: Env>(env: &E, addr: Addr, now: u32) {
    if let Some(client) = env.client(addr)
        && client.held().release(now) == Some(0)
        && let Some(shared) = env.shared()
    {
        shared.add_clients(-1);
    }
}

/// Ends the count of a client that has had no flow for a while. True if it is gone.
#[inline(never)]
pub fn retire<E: Env>(env: &E, addr: Addr, now: u32) -> bool {
    let Some(client) = env.client(addr) else {
        return false;
    };
    if !client.held().retire(0, now, REST) {
        return false;
    }
    let gone = env.remove_client(addr);
    if !gone {
        client.held().spare(now);
    }
    gone
}

/// The last eighth of the table is for clients that have less than an equal share of it: so one that
/// opens flows without end fills the rest, and nobody else is refused for it.
#[inline(always)]
fn takes_too_much(settings: &Settings, flows: u32, (all, clients): (u64, u64)) -> bool {
    let max = u64::from(settings.max_flows);
    // One that is alone has a half: the other is for who comes next.
    is_nearly_full(settings, all) && u64::from(flows) * clients.max(2) >= max
}

#[inline(always)]
fn is_nearly_full(settings: &Settings, all: u64) -> bool {
    let max = u64::from(settings.max_flows);
    all >= max - max / 8
}
