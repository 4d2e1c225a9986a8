//! What is known of an interface besides that it is up.

use anyhow::{Result, ensure};
use snat_tests::{
    attempt::host,
    foreign::{Counter, Hook},
};

use super::{check, config, findings};

#[test]
fn vlan_offload_is_told_where_xdp_would_miss_the_tag() -> Result<()> {
    let host = host("vlan")?;
    let (xdp, tc) = (config("[\"eth0\"]", "xdp")?, config("[\"eth0\"]", "tc")?);
    let severity = |config| -> Result<String> {
        let found = findings(&host, config, "interface.vlan_offload", &[])?;
        let first = found
            .first()
            .and_then(|finding| finding["severity"].as_str());
        Ok(first.unwrap_or("none").to_owned())
    };
    ensure!(severity(&xdp)? == "info", "{}", severity(&xdp)?);
    ensure!(severity(&tc)? == "none", "{}", severity(&tc)?);
    host.run("ethtool -K eth0 rxvlan off")?;
    ensure!(severity(&xdp)? == "none", "{}", severity(&xdp)?);
    Ok(())
}

#[test]
fn tc_programs_of_others_are_named_with_their_place() -> Result<()> {
    let host = host("tc")?;
    let config = config("[\"eth0\"]", "tc")?;
    let what = || -> Result<String> {
        let found = findings(&host, &config, "interface.foreign_tc", &[])?;
        let first = found.first().and_then(|finding| finding["what"].as_str());
        Ok(first.unwrap_or_default().to_owned())
    };
    ensure!(what()?.is_empty(), "{}", what()?);
    {
        let _program = Counter::attach(&host, "eth0", Hook::TcxEgress)?;
        let what = what()?;
        ensure!(
            what.contains("foreign (id ") && what.ends_with("TCX egress)"),
            "{what}"
        );
    }
    let _filter = Counter::attach(&host, "eth0", Hook::Clsact)?;
    snat_tests::wait::until(super::SOON, "the filter alone is told of", || {
        let what = what()?;
        ensure!(what.ends_with("(clsact ingress, preference 5)"), "{what}");
        ensure!(!what.contains("TCX"), "{what}");
        Ok(())
    })
}

#[test]
fn sizes_that_shrink_on_the_way_out_are_told() -> Result<()> {
    let host = host("mtu")?;
    // One more key of the section.
    let config = config("[\"eth0\", \"eth1\"]\nmss_clamp = \"off\"", "tc")?;
    host.ip("link add eth1 type veth peer name peer1
             addr add 172.16.1.1/24 dev eth1
             link set eth1 up
             link set peer1 up
             route add default via 192.0.2.9")?;
    ensure!(findings(&host, &config, "interface.mtu", &[])?.is_empty());
    host.ip("link set eth0 mtu 1400")?;
    let found = findings(&host, &config, "interface.mtu", &[])?;
    ensure!(
        found.len() == 1
            && found[0]["what"] == "packets shrink on the way out: MTU 1500 on eth1, 1400 on eth0",
        "{found:?}"
    );
    Ok(())
}

#[test]
fn the_clouds_check_is_always_mentioned_and_never_fatal() -> Result<()> {
    let host = host("cloud")?;
    let config = config("[\"eth0\"]", "tc")?;
    let found = findings(&host, &config, "cloud.source_check", &[])?;
    ensure!(
        found.len() == 1 && found[0]["severity"] == "info",
        "{found:?}"
    );
    let ended = check(&host, &config, &[], &[])?;
    ensure!(ended.status.success(), "{ended:?}");
    Ok(())
}
