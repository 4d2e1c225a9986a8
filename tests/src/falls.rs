//! Packets that the machine lets fall under a lab: where a queue of it was full.

use std::{collections::BTreeMap, fmt, fs};

use anyhow::{Context as _, Result};

use crate::{netns::Netns, topology::Topology};

/// Counts by place: interfaces of the lab, full receive buffers of its UDP sockets, and the backlogs of the machine's
/// CPUs, which everything that runs there shares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Falls(BTreeMap<String, u64>);

impl Falls {
    /// Since the network was built, or the machine started.
    pub fn count(topology: &Topology) -> Result<Self> {
        let mut falls = BTreeMap::from([("backlogs".to_owned(), backlogs()?)]);
        for netns in topology.namespaces() {
            let name = netns.name();
            falls.insert(format!("{name} UDP sockets"), sockets(netns)?);
            let devices = devices(netns)?.into_iter();
            falls.extend(devices.map(|(dev, count)| (format!("{name} {dev}"), count)));
        }
        Ok(Self(falls))
    }

    /// What fell since an earlier count.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let fell = self.0.iter().map(|(place, count)| {
            let before = before.0.get(place).copied().unwrap_or_default();
            (place.clone(), count.saturating_sub(before))
        });
        Self(fell.filter(|(_, count)| *count > 0).collect())
    }

    /// How many in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

impl fmt::Display for Falls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the machine itself let fall {:?}", self.0)
    }
}

fn backlogs() -> Result<u64> {
    let stat = fs::read_to_string("/proc/net/softnet_stat")?;
    let dropped = stat.lines().map(|line| {
        let dropped = line.split(' ').nth(1).context("softnet_stat")?;
        Ok(u64::from_str_radix(dropped, 16)?)
    });
    dropped.sum()
}

/// `RcvbufErrors` of the namespace.
fn sockets(netns: &Netns) -> Result<u64> {
    let snmp = netns.enter(|| Ok(fs::read_to_string("/proc/thread-self/net/snmp")?))?;
    let mut udp = snmp.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, values) = (udp.next(), udp.next());
    let mut names = names.context("no UDP counters")?.split(' ');
    let column = names.position(|name| name == "RcvbufErrors");
    let value = values.and_then(|values| values.split(' ').nth(column?));
    Ok(value.context("no RcvbufErrors")?.parse()?)
}

/// The columns `drop` of both ways.
fn devices(netns: &Netns) -> Result<Vec<(String, u64)>> {
    let dev = netns.enter(|| Ok(fs::read_to_string("/proc/thread-self/net/dev")?))?;
    let of_device = |line: &str| -> Option<(String, u64)> {
        let (name, counters) = line.split_once(':')?;
        let counters: Vec<u64> = counters.split_whitespace().flat_map(str::parse).collect();
        Some((name.trim().to_owned(), counters.get(3)? + counters.get(11)?))
    };
    Ok(dev.lines().filter_map(of_device).collect())
}
