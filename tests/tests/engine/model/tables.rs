//! What the engine keeps in its tables, against what the model has.

use snat_common::{Direction, Event, Held, MappingKind};

use super::nat::Nat;
use crate::host::Host;

/// Only how many there are: after every step.
pub(super) fn count(host: &mut Host, nat: &Nat) {
    assert_eq!(host.flows.len(), nat.flows.len() * 2, "flows");
    let mappings = nat.mappings.len() * 2 + nat.permissions.len();
    assert_eq!(host.mappings.len(), mappings, "mappings and permissions");
    let alive = host.happened(Event::FlowOpened) - host.happened(Event::FlowRemoved);
    assert_eq!(alive, nat.flows.len() as u64, "flows by events");
    assert_eq!(host.shared().flows, alive, "flows as all CPUs count them");
}

/// Flow by flow and mapping by mapping.
pub(super) fn compare(host: &mut Host, nat: &Nat) {
    for (key, entry) in host.entries() {
        if entry.direction == Direction::Out {
            continue;
        }
        let way = (
            key.protocol,
            (key.src, key.src_port),
            (key.dst, key.dst_port),
        );
        let flow = nat.flows.get(&way);
        let flow = flow.unwrap_or_else(|| panic!("the model has no flow {way:?}"));
        assert_eq!((entry.addr, entry.port), flow.client, "{way:?}");
        assert_eq!(entry.state, flow.state, "{way:?}");
    }
    for (key, mapping) in host.mappings.copies() {
        let external = (key.addr, key.port);
        let holders = Held::holders(mapping.held) as usize;
        let outside = (key.protocol, external);
        match key.kind {
            MappingKind::Inner => {
                let owned = nat.owners.get(&outside);
                assert_eq!(owned, Some(&(mapping.addr, mapping.port)), "{key:?}");
            }
            MappingKind::Outer => {
                let owned = &nat.mappings[&outside];
                assert_eq!((mapping.addr, mapping.port), owned.client, "{key:?}");
                assert_eq!(holders, nat.users(outside), "holders of {key:?}");
            }
            MappingKind::Permission => {
                let users = nat.permitted(key.protocol, external, key.peer);
                assert_eq!(holders, users, "holders of {key:?}");
            }
        }
    }
    let mut with_flows = 0;
    for (addr, client) in host.clients.copies() {
        let flows = nat.flows_of(addr);
        assert_eq!(Held::holders(client.held) as usize, flows, "{addr:?}");
        with_flows += u64::from(flows != 0);
    }
    assert_eq!(host.shared().clients, with_flows, "clients with flows");
}

/// All that came has gone; what the configuration made is there.
pub(super) fn is_empty(host: &mut Host) {
    assert_eq!(host.flows.len(), 0);
    assert_eq!(host.mappings.len(), host.contents.forwards.len());
    assert_eq!(host.clients.len(), 0);
    let made = host.happened(Event::MappingMade);
    assert_eq!(made, host.happened(Event::MappingRemoved), "mappings made");
}
