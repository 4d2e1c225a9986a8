//! A flow table with a million flows that nobody sent a packet for.

use anyhow::{Context as _, Result};
use aya::maps::{HashMap, Map, MapData};
use snat_common::{Direction, FlowEntry, Protocol, State};
use snat_ctl::datapath::sweep::now;
use snat_tests::scene::{Plan, Scene};

pub(crate) const FLOWS: u32 = 1_000_000;

/// External ports of each server's port.
const PORTS: u32 = 60_000;

pub(crate) fn plan(datapath: &str) -> Plan<'_> {
    Plan {
        gateway: "max_flows = 1_048_576",
        sections: "\n[timeouts]\nudp = \"2h\"\n\n[metrics]\n",
        ..Plan::routed(datapath)
    }
}

/// Flow `number` has sent 100 bytes times its number, and got half as many.
pub(crate) fn fill(scene: &Scene) -> Result<()> {
    let map = MapData::from_pin(scene.gateway.pins().join("FLOWS"))?;
    let mut table: HashMap<_, [u8; 16], [u8; 48]> = HashMap::try_from(Map::HashMap(map))?;
    let now = now();
    for number in 0..FLOWS {
        let client = client(number);
        let external = ([203, 0, 113, 10], (1024 + number % PORTS) as u16);
        let server = ([192, 0, 2, 1], (1000 + number / PORTS) as u16);
        let bytes = u64::from(number) * 100;
        let written = table
            .insert(
                key(client, server),
                entry(Direction::Out, external, bytes, now),
                0,
            )
            .and_then(|()| {
                let back = entry(Direction::In, client, bytes / 2, now);
                table.insert(key(server, external), back, 0)
            });
        written.with_context(|| format!("flow {number}"))?;
    }
    Ok(())
}

/// The endpoint of flow `number`.
pub(crate) fn client(number: u32) -> End {
    let [_, a, b, c] = (number / 8).to_be_bytes();
    ([10, a, b, c], 40_000 + (number % 8) as u16)
}

type End = ([u8; 4], u16);

/// As `FlowKey` lies in memory.
fn key(src: End, dst: End) -> [u8; 16] {
    let mut key = [0; 16];
    key[0..4].copy_from_slice(&src.0);
    key[4..8].copy_from_slice(&dst.0);
    key[8..10].copy_from_slice(&src.1.to_ne_bytes());
    key[10..12].copy_from_slice(&dst.1.to_ne_bytes());
    key[12] = Protocol::Udp as u8;
    key
}

/// As `FlowEntry` lies in memory.
fn entry(direction: Direction, to: End, sent: u64, now: u32) -> [u8; 48] {
    use std::mem::offset_of;
    let mut entry = [0; 48];
    let mut put = |at: usize, bytes: &[u8]| entry[at..at + bytes.len()].copy_from_slice(bytes);
    put(offset_of!(FlowEntry, addr), &to.0);
    put(offset_of!(FlowEntry, port), &to.1.to_ne_bytes());
    put(offset_of!(FlowEntry, last_seen), &now.to_ne_bytes());
    put(offset_of!(FlowEntry, created), &now.to_ne_bytes());
    put(offset_of!(FlowEntry, state), &[State::Udp as u8]);
    put(offset_of!(FlowEntry, direction), &[direction as u8]);
    put(offset_of!(FlowEntry, packets), &(sent / 100).to_ne_bytes());
    put(offset_of!(FlowEntry, bytes), &sent.to_ne_bytes());
    entry
}
