//! Programs that show a way through the network hop by hop, and what they saw.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};

use crate::{
    netns::{Netns, output},
    program,
};

/// A way, as one of the programs sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Who answered, nearest first; the last is the target. `None`: nobody.
    pub hops: Vec<Option<Ipv4Addr>>,
    /// The path MTU, from [`tracepath`] only.
    pub mtu: Option<u32>,
}

/// Runs `traceroute` (that of Debian's package of that name) with more options; one probe per hop. Given one time
/// to wait, it no longer gives a hop up because a farther one has answered.
pub fn traceroute(netns: &Netns, options: &[&str], target: Ipv4Addr) -> Result<Path> {
    let text = output(
        netns
            .command(program::find("traceroute.db")?)
            .args(["-n", "-q", "1", "-m", "8", "-w", "5"])
            .args(options)
            .arg(target.to_string()),
    )?;
    // " 2  172.16.0.10  0.062 ms", or " 2  *"
    let hops = text.lines().skip(1).map(|line| {
        let who = line.split_whitespace().nth(1);
        who.with_context(|| format!("no hop: {line:?}"))
            .map(|who| who.parse().ok())
    });
    let hops = hops.collect::<Result<_>>()?;
    Ok(Path { hops, mtu: None })
}

/// Runs `mtr` with more options: two rounds, of which no probe may be lost.
pub fn mtr(netns: &Netns, options: &[&str], target: Ipv4Addr) -> Result<Path> {
    let text = output(
        netns
            .command(program::find("mtr")?)
            .args(["-n", "--report", "-c", "2", "-i", "0.2", "-G", "5"])
            .args(options)
            .arg(target.to_string()),
    )?;
    // "  2.|-- 172.16.0.10    0.0%     2    0.1 …"
    let mut hops = Vec::new();
    for line in text.lines().filter(|line| line.contains(".|-- ")) {
        let mut words = line.split_whitespace().skip(1);
        hops.push(words.next().and_then(|who| who.parse().ok()));
        ensure!(words.next() == Some("0.0%"), "probes were lost:\n{text}");
    }
    Ok(Path { hops, mtu: None })
}

/// Runs `tracepath`, which finds the path MTU as well.
pub fn tracepath(netns: &Netns, target: Ipv4Addr) -> Result<Path> {
    let text = output(
        netns
            .command(program::find("tracepath")?)
            .args(["-n", "-m", "8"])
            .arg(target.to_string()),
    )?;
    // " 1?: [LOCALHOST]      pmtu 1500", " 2:  172.16.0.10     0.051ms", "     Resume: pmtu 1400 hops 3 back 3".
    // A line with an MTU is about a packet that was too large, and the next is about the same hop.
    let mut hops: Vec<Option<Ipv4Addr>> = Vec::new();
    for line in text.lines().filter(|line| !line.contains(" pmtu ")) {
        let Some((ttl, rest)) = line.split_once(": ") else {
            continue;
        };
        let Ok(ttl) = ttl.trim().parse::<usize>() else {
            continue;
        };
        hops.resize(hops.len().max(ttl), None);
        let who = rest.split_whitespace().next();
        hops[ttl - 1] = hops[ttl - 1].or(who.and_then(|who| who.parse().ok()));
    }
    let mtu = text
        .split_once("Resume: pmtu ")
        .and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
    ensure!(mtu.is_some(), "tracepath found no path MTU:\n{text}");
    Ok(Path { hops, mtu })
}
