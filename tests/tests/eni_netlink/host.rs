//! A host with two interfaces, and how `ip` sees it.

use anyhow::{Context as _, Result};
use serde_json::Value;
use snat_ctl::eni::Family;
use snat_tests::{netns::Netns, topology::unique_prefix};

/// Two Ethernet interfaces with an IPv4 and an IPv6 address each, on wires that end nowhere.
pub(crate) fn host() -> Result<Netns> {
    let netns = Netns::create(&format!("{}-host", unique_prefix()))?.with_ipv6()?;
    netns.ip("\
        link add eth0 type veth peer name far0\n\
        link add eth1 type veth peer name far1\n\
        link set eth0 up\nlink set far0 up\nlink set eth1 up\nlink set far1 up\n\
        addr add 10.0.0.1/24 dev eth0\n\
        addr add 10.1.0.1/24 dev eth1\n\
        addr add fd00::1/64 dev eth0\n\
        addr add fd01::1/64 dev eth1\n")?;
    Ok(netns)
}

/// Has `ip` do a line like `route add default ...` as the owner of a protocol number.
pub(crate) fn ip(netns: &Netns, family: Family, line: &str, protocol: u8) -> Result<()> {
    let option = family.option();
    let mut words = line.splitn(3, ' ');
    let mut word = || {
        words
            .next()
            .context("a line of `ip` has an object, a verb and more")
    };
    let (object, verb, rest) = (word()?, word()?, word()?);
    netns.run(&format!(
        "ip {option} {object} {verb} protocol {protocol} {rest}"
    ))?;
    Ok(())
}

/// What `ip` shows of everybody's.
pub(crate) fn shown(netns: &Netns, family: Family, what: &str) -> Result<Vec<Value>> {
    let option = family.option();
    let text = netns.run(&format!("ip -json -details -N {option} {what}"))?;
    let list: Vec<Value> =
        serde_json::from_str(&text).with_context(|| format!("reading {text}"))?;
    Ok(list)
}

/// Those of one owner, without its number.
pub(crate) fn of(list: &[Value], protocol: u8) -> Vec<Value> {
    let number = Value::String(protocol.to_string());
    list.iter()
        .filter(|entry| entry.get("protocol") == Some(&number))
        .cloned()
        .map(|mut entry| {
            if let Some(entry) = entry.as_object_mut() {
                entry.remove("protocol");
            }
            entry
        })
        .collect()
}
