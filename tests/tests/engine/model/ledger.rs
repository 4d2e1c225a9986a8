//! What the log alone says of who has which external port (RFC 6888 REQ-12).

use std::collections::BTreeMap;

use snat_common::{
    Addr, Direction, Protocol,
    log::{Detail, Kind, LogRecord},
    mapping::hold,
};

use crate::{frames::Endpoint, host::Host};

/// Protocol and external endpoint.
type Port = (u8, Endpoint);

/// The log, read up to now.
#[derive(Default)]
pub(super) struct Ledger {
    mappings: BTreeMap<Port, Endpoint>,
    /// With the server, where that is logged; how often.
    flows: BTreeMap<(Port, Endpoint, Endpoint), u32>,
}

impl Ledger {
    /// Reads on: nothing may be given that somebody has, or be given back by anybody else.
    pub(super) fn read(&mut self, host: &mut Host) {
        for record in host.log.take() {
            let LogRecord {
                client,
                client_port,
                external,
                external_port,
                server,
                server_port,
                protocol,
                ..
            } = record;
            let port = (protocol, (external, external_port));
            let client = (client, client_port);
            let flow = (port, (server, server_port), client);
            if record.kind == Kind::MappingMade as u8 {
                let had = self.mappings.insert(port, client);
                assert_eq!(had, None, "{record:?}");
            } else if record.kind == Kind::MappingRemoved as u8 {
                assert_eq!(self.mappings.remove(&port), Some(client), "{record:?}");
            } else if record.kind == Kind::FlowOpened as u8 {
                *self.flows.entry(flow).or_default() += 1;
            } else {
                let count = self.flows.get_mut(&flow);
                let count = count.unwrap_or_else(|| panic!("never opened: {record:?}"));
                *count -= 1;
                if *count == 0 {
                    self.flows.remove(&flow);
                }
            }
        }
    }

    /// Whether the log names this client for a packet that left from this external endpoint.
    pub(super) fn names(&self, protocol: Protocol, external: Endpoint, client: Endpoint) -> bool {
        let port = (protocol as u8, external);
        self.mappings.get(&port) == Some(&client)
            || self
                .flows
                .keys()
                .any(|key| key.0 == port && key.2 == client)
    }

    /// Compares with what is in the tables.
    pub(super) fn compare(&self, host: &Host) {
        let mut mappings = BTreeMap::new();
        for (key, mapping) in host.mappings.copies() {
            if key.kind == snat_common::MappingKind::Outer && mapping.is_static == 0 {
                let port = (key.protocol as u8, (key.addr, key.port));
                mappings.insert(port, (mapping.addr, mapping.port));
            }
        }
        assert_eq!(
            self.mappings, mappings,
            "mappings by the log, and in the table"
        );
        let all = host.contents.settings.log == Detail::Destinations as u8;
        let mut flows = BTreeMap::new();
        for (key, entry) in host.entries() {
            if entry.direction == Direction::Out || !all && entry.holds & hold::MAPPING != 0 {
                continue;
            }
            let nobody: (Addr, u16) = ([0; 4], 0);
            let server = if all { (key.src, key.src_port) } else { nobody };
            let port = (key.protocol as u8, (key.dst, key.dst_port));
            *flows
                .entry((port, server, (entry.addr, entry.port)))
                .or_default() += 1;
        }
        assert_eq!(self.flows, flows, "flows by the log, and in the table");
    }
}
