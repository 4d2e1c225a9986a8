//! Flows that are removed because somebody selected them: they alone, and as they were selected.

use snat_common::{FlowKey, Protocol};

use crate::{
    frames::{Endpoint, Frame},
    host::Host,
    scene::{in_key, key},
    world::{self, EXTERNAL, ONE_ARM, PORT, ROUTED, SERVER},
};

const CLIENT: Endpoint = (ROUTED, 4321);
const OTHER: Endpoint = (ONE_ARM, 4321);
const WEB: Endpoint = (SERVER, 80);
const OUTSIDE: Endpoint = (EXTERNAL, PORT);

fn opened(client: Endpoint) -> (Host, FlowKey) {
    let mut host = world::host();
    host.client(&Frame::udp(client, WEB));
    (host, key(Protocol::Udp, client, WEB))
}

#[test]
fn a_selected_flow_is_gone_though_it_is_used() {
    let (mut host, flow) = opened(CLIENT);
    let looked = host.clock;
    host.later(1);
    host.internet(&Frame::udp(WEB, OUTSIDE));
    assert!(host.flush(&flow, looked, false));
    assert_eq!(host.entries().len(), 0);
    assert!(!host.flush(&flow, looked, false), "it is gone");
}

#[test]
fn the_flow_of_another_client_that_got_the_port_meanwhile_stays() {
    let (mut host, flow) = opened(CLIENT);
    let looked = host.clock;
    let external = in_key(Protocol::Udp, WEB, PORT);
    assert!(host.bury(&external, true), "it ends by itself");
    let rest = host.contents.settings.port_rest;
    host.later(rest + 1);
    host.sweep();
    host.client(&Frame::udp(OTHER, WEB));
    assert!(host.state(&external).is_some(), "the same port");
    assert!(!host.flush(&flow, looked, false));
    assert!(!host.flush(&external, looked, false), "no key of a client");
    assert_eq!(host.entries().len(), 2);
}

#[test]
fn a_flow_that_was_opened_since_stays() {
    let (mut host, flow) = opened(CLIENT);
    let before = host.clock - 1;
    assert!(!host.flush(&flow, before, false));
    assert!(host.flush(&flow, host.clock, false));
}

#[test]
fn what_was_selected_as_idle_stays_once_it_is_used_either_way() {
    for answered in [false, true] {
        let (mut host, flow) = opened(CLIENT);
        let looked = host.clock;
        host.later(1);
        if answered {
            host.internet(&Frame::udp(WEB, OUTSIDE));
        } else {
            host.client(&Frame::udp(CLIENT, WEB));
        }
        assert!(!host.flush(&flow, looked, true), "{answered}");
        assert!(host.flush(&flow, looked + 1, true), "{answered}");
    }
}
