//! How a flow is written.

use std::{net::Ipv4Addr, time::Duration};

use crate::{datapath::Flow, output};

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

/// Protocols without ports have none, and an ICMP echo has nothing in their place at the server's side.
pub(super) fn endpoint(addr: Ipv4Addr, port: u16) -> String {
    match port {
        0 => addr.to_string(),
        port => format!("{addr}:{port}"),
    }
}

/// Whole seconds, as `2h 4m`.
pub(super) fn time(seconds: f64) -> String {
    humantime::format_duration(Duration::from_secs(seconds as u64)).to_string()
}

/// Bits a second, as `1.5 Mbit/s`.
pub(super) fn rate(bits: f64) -> String {
    let units = [(1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s")];
    match units.iter().find(|(size, _)| bits >= *size) {
        Some((size, name)) => format!("{:.1} {name}", bits / size),
        None => format!("{bits:.0} bit/s"),
    }
}

/// `1 flow`, `2 flows`.
pub(super) fn count(flows: u64) -> String {
    let noun = if flows == 1 { "flow" } else { "flows" };
    format!("{flows} {noun}")
}

#[cfg(test)]
mod tests {
    use super::rate;

    #[test]
    fn a_rate_is_written_with_the_unit_that_fits() {
        for (bits, written) in [
            (0.0, "0 bit/s"),
            (999.0, "999 bit/s"),
            (1500.0, "1.5 kbit/s"),
            (12_340_000.0, "12.3 Mbit/s"),
            (40e9, "40.0 Gbit/s"),
        ] {
            assert_eq!(rate(bits), written);
        }
    }
}
