//! How a flow is written.

use crate::{
    commands::words::{endpoint, rate, time},
    datapath::Flow,
    output,
};

/// Flows as a table, the titles on the first line.
pub(super) fn table(flows: &[Flow], rates: bool) -> String {
    let mut titles = vec![
        "PROTO",
        "CLIENT",
        "EXTERNAL",
        "SERVER",
        "STATE",
        "ENI",
        "AGE",
        "IDLE",
        "PKTS OUT",
        "BYTES OUT",
        "PKTS IN",
        "BYTES IN",
    ];
    if rates {
        titles.push("RATE");
    }
    let mut table = output::table(&titles, 6);
    for flow in flows {
        let mut row = vec![
            flow.protocol.to_string(),
            endpoint(flow.client, flow.client_port),
            endpoint(flow.external, flow.external_port),
            endpoint(flow.server, flow.server_port),
            flow.state.to_owned(),
            flow.eni.as_deref().unwrap_or("-").to_owned(),
            time(flow.age_seconds),
            time(flow.idle_seconds),
            flow.packets_out.to_string(),
            flow.bytes_out.to_string(),
            flow.packets_in.to_string(),
            flow.bytes_in.to_string(),
        ];
        row.extend(flow.bits_per_second.map(rate));
        table.add_row(row);
    }
    output::rows(&table)
}

/// Who speaks to whom, and as whom: `tcp 172.16.4.9:40000 -> 203.0.113.10:10691 -> 198.51.100.7:443`.
pub(super) fn line(flow: &Flow) -> String {
    format!(
        "{} {} -> {} -> {}",
        flow.protocol,
        endpoint(flow.client, flow.client_port),
        endpoint(flow.external, flow.external_port),
        endpoint(flow.server, flow.server_port)
    )
}

/// `1 flow`, `2 flows`.
pub(super) fn count(flows: u64) -> String {
    let noun = if flows == 1 { "flow" } else { "flows" };
    format!("{flows} {noun}")
}
