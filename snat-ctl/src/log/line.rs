//! A line of the log: part of the contract.

use std::{borrow::Cow, net::Ipv4Addr, time::SystemTime};

use serde::Serialize;
use snat_common::log::{Kind, LogRecord};

use crate::datapath::protocol_label;

/// What a line says; as JSON, `null` is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Line {
    /// When it was so: RFC 3339, UTC, with microseconds.
    pub(super) time: String,
    /// The instance.
    pub(super) instance: String,
    /// What happened.
    pub(super) event: &'static str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(super) owner: Option<Owner>,
    /// Records lost since the datapath was loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lost_total: Option<u64>,
}

/// Who had what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Owner {
    /// `tcp`, `udp`, `icmp`, `udp_lite`, `sctp`, `gre`, `esp`; of any other, its number.
    pub(super) protocol: Cow<'static, str>,
    pub(super) client: Ipv4Addr,
    /// Or echo identifier; 0 where the protocol has none.
    pub(super) client_port: u16,
    pub(super) external: Ipv4Addr,
    pub(super) external_port: u16,
    /// Where destinations are logged, of a flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) server: Option<Ipv4Addr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) server_port: Option<u16>,
}

/// Whether something changed, or is merely there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    Changed,
    Present,
}

impl Line {
    /// Of a record of the datapath.
    pub(super) fn of(instance: &str, time: SystemTime, record: &LogRecord, news: News) -> Self {
        Self {
            owner: Some(owner(record)),
            ..Self::note(instance, time, event(record.kind, news), None)
        }
    }

    /// About the log itself.
    pub(super) fn note(
        instance: &str,
        time: SystemTime,
        event: &'static str,
        lost_total: Option<u64>,
    ) -> Self {
        Self {
            time: humantime::format_rfc3339_micros(time).to_string(),
            instance: instance.to_owned(),
            event,
            owner: None,
            lost_total,
        }
    }

    /// Without the newline.
    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).expect("plain fields are always JSON")
    }
}

fn owner(record: &LogRecord) -> Owner {
    let has_server = record.server != [0; 4];
    Owner {
        protocol: protocol_label(record.protocol, record.number),
        client: record.client.into(),
        client_port: record.client_port,
        external: record.external.into(),
        external_port: record.external_port,
        server: has_server.then(|| record.server.into()),
        server_port: has_server.then_some(record.server_port),
    }
}

fn event(kind: u8, news: News) -> &'static str {
    const MADE: u8 = Kind::MappingMade as u8;
    const REMOVED: u8 = Kind::MappingRemoved as u8;
    const OPENED: u8 = Kind::FlowOpened as u8;
    const GONE: u8 = Kind::FlowRemoved as u8;
    match (kind, news) {
        (MADE, News::Changed) => "mapping_made",
        (MADE, News::Present) => "mapping_present",
        (REMOVED, _) => "mapping_removed",
        (OPENED, News::Changed) => "flow_opened",
        (OPENED, News::Present) => "flow_present",
        (GONE, _) => "flow_removed",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Kind, Line, LogRecord, News, SystemTime};

    const RECORD: LogRecord = LogRecord {
        time: 0,
        client: [172, 16, 1, 5],
        external: [203, 0, 113, 10],
        server: [0; 4],
        client_port: 4000,
        external_port: 32001,
        server_port: 0,
        protocol: snat_common::Protocol::Udp as u8,
        number: 0,
        kind: Kind::MappingRemoved as u8,
        zero: [0; 3],
    };

    #[test]
    fn a_line_is_json_with_a_server_only_where_one_is_logged() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_micros(1_000_001);
        let line = Line::of("blue", at, &RECORD, News::Changed);
        assert_eq!(
            line.json(),
            "{\"time\":\"1970-01-01T00:00:01.000001Z\",\"instance\":\"blue\",\
             \"event\":\"mapping_removed\",\"protocol\":\"udp\",\"client\":\"172.16.1.5\",\
             \"client_port\":4000,\"external\":\"203.0.113.10\",\"external_port\":32001}"
        );
        let record = LogRecord {
            server: [192, 0, 2, 1],
            server_port: 53,
            kind: Kind::FlowOpened as u8,
            ..RECORD
        };
        let line = Line::of("blue", at, &record, News::Present).json();
        assert!(line.contains("\"event\":\"flow_present\""), "{line}");
        assert!(
            line.ends_with(",\"server\":\"192.0.2.1\",\"server_port\":53}"),
            "{line}"
        );
    }

    #[test]
    fn what_is_lost_is_a_line_without_an_owner() {
        let line = Line::note("blue", SystemTime::UNIX_EPOCH, "records_lost", Some(7));
        assert_eq!(
            line.json(),
            "{\"time\":\"1970-01-01T00:00:00.000000Z\",\"instance\":\"blue\",\
             \"event\":\"records_lost\",\"lost_total\":7}"
        );
    }
}
