//! Whether what arrived is what had to: a fast wrong NAT is no result.
//!
//! A packet carries its flow's number, so that it is known what it was before. All bytes kept of it are compared with
//! what they have to be, the checksums computed anew; only the external port is the NAT's to choose.

use std::{collections::HashMap, ops::Range};

use anyhow::{Context as _, Result, ensure};
use snat_common::load::{Load, SAMPLE_LEN, Turn, WRITTEN};

/// The beginning of a frame.
pub(crate) type Sample = [u8; SAMPLE_LEN];

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Link-layer destination and source of what arrives.
    pub(crate) macs: [[u8; 6]; 2],
    /// How many routers it has passed.
    pub(crate) hops: u8,
    /// Its new source, if it is translated.
    pub(crate) external: Option<[u8; 4]>,
}

/// A flow that was seen: client, its port, server, external port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Client.
    pub(crate) client: [u8; 4],
    /// Its port.
    pub(crate) port: u16,
    /// Server.
    pub(crate) server: [u8; 4],
    /// The port that the server sees.
    pub(crate) external_port: u16,
}

/// Compares all samples of a load; returns the flows seen.
///
/// # Errors
///
/// The first frame that is not as it had to be; a flow with two external ports; two flows with one.
pub(crate) fn verify(samples: &[Sample], load: &Load, change: &Change) -> Result<Vec<Seen>> {
    let mut ports = HashMap::new();
    let mut flows = HashMap::new();
    for sample in samples {
        let flow = u32::from_be_bytes(take(sample, 42));
        let seen = frame(sample, flow, load, change)
            .with_context(|| format!("flow {flow} arrived as {}", hex(sample)))?;
        let before = *ports.entry(flow).or_insert(seen.external_port);
        ensure!(
            before == seen.external_port,
            "flow {flow} has two external ports: {before} and {}",
            seen.external_port
        );
        let first = flows
            .entry((seen.server, seen.external_port, change.external))
            .or_insert((flow, seen));
        ensure!(
            first.0 == flow || change.external.is_none(),
            "flows {} and {flow} to the same server have the external port {before}",
            first.0
        );
    }
    Ok(flows.into_values().map(|(_, seen)| seen).collect())
}

fn frame(sample: &Sample, flow: u32, load: &Load, change: &Change) -> Result<Seen> {
    let turn = flow
        .checked_sub(load.first)
        .filter(|turn| *turn < load.flows);
    let turn = turn.context("no such flow was sent")?;
    let sent = load.frame(&Turn {
        flow: turn,
        endpoint: turn % load.endpoints,
        server: turn / load.endpoints,
        ..Turn::default()
    });
    let seen = Seen {
        client: take(&sent, 26),
        port: u16::from_be_bytes(take(&sent, 34)),
        server: take(&sent, 30),
        external_port: u16::from_be_bytes(take(sample, 34)),
    };
    ensure!(
        change.external.is_none() || seen.external_port > 1023,
        "external port {} is below 1024",
        seen.external_port
    );
    let expected = changed(&sent, change, seen.external_port);
    ensure!(
        *sample == expected,
        "it had to be {}; wrong: {}",
        hex(&expected),
        wrong(sample, &expected)
    );
    Ok(seen)
}

fn changed(sent: &[u8; WRITTEN], change: &Change, external_port: u16) -> Sample {
    let mut frame = [0; SAMPLE_LEN];
    frame[..WRITTEN].copy_from_slice(sent);
    frame[..12].copy_from_slice(change.macs.as_flattened());
    frame[22] -= change.hops;
    if let Some(external) = change.external {
        frame[26..30].copy_from_slice(&external);
        frame[34..36].copy_from_slice(&external_port.to_be_bytes());
    }
    let header = checksum(&[&frame[14..24], &frame[26..34]]);
    frame[24..26].copy_from_slice(&header.to_be_bytes());
    // The payload that was not kept is zeros, as all of it behind the flow's number.
    let pseudo = [0, 17, frame[38], frame[39]];
    let udp = match checksum(&[&frame[26..34], &pseudo, &frame[34..40], &frame[42..]]) {
        0 => 0xffff,
        sum => sum,
    };
    frame[40..42].copy_from_slice(&udp.to_be_bytes());
    frame
}

/// RFC 1071, of parts of an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks_exact(2));
    let mut sum: u32 = words
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The fields that differ.
fn wrong(sample: &Sample, expected: &Sample) -> String {
    const FIELDS: [(Range<usize>, &str); 11] = [
        (0..12, "link-layer addresses"),
        (12..14, "link-layer type"),
        (14..22, "IP header"),
        (22..23, "TTL"),
        (23..24, "protocol"),
        (24..26, "IP checksum"),
        (26..30, "source"),
        (30..34, "destination"),
        (34..40, "UDP header"),
        (40..42, "UDP checksum"),
        (42..SAMPLE_LEN, "payload"),
    ];
    let wrong = FIELDS
        .into_iter()
        .filter(|(bytes, _)| sample[bytes.clone()] != expected[bytes.clone()]);
    wrong.map(|(_, name)| name).collect::<Vec<_>>().join(", ")
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|i| bytes[at + i])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
