//! Configurations that do not fit the host.

use anyhow::Result;
use snat_tests::{
    eni::section,
    topology::enis::{ETH0, ETH1, Eni},
};

use super::Scene;

/// All that would change something, or say what would.
const VERBS: [&str; 3] = ["plan", "apply", "apply --confirm 1h"];

#[test]
fn an_interface_that_is_not_there() -> Result<()> {
    let absent = Eni {
        dev: "eth9",
        ..ETH1
    };
    refused(
        None,
        &section(&absent, ""),
        &["no interface is eth9", "eth0, eth1"],
    )
}

#[test]
fn a_table_that_others_use() -> Result<()> {
    refused(
        Some("ip route add 10.9.0.0/16 via 172.16.20.253 dev eth1 table 1001"),
        &section(&ETH1, ""),
        &[
            "eth1: table 1001 has 1 route already",
            "10.9.0.0/16 via 172.16.20.253 dev eth1",
            "(protocol 3)",
            "another `table`",
        ],
    )
}

#[test]
fn a_table_that_others_use_for_ipv6() -> Result<()> {
    refused(
        Some("ip route add 2001:db8:99::/64 via 2001:db8:20::fd dev eth1 table 1001"),
        &section(&ETH1, ""),
        &["eth1: table 1001 has 1 route already", "2001:db8:99::/64"],
    )
}

#[test]
fn priorities_that_others_use() -> Result<()> {
    for rule in [
        "ip -4 rule add from 10.9.0.0/16 lookup 7 priority 20999 protocol 4",
        "ip -6 rule add from 2001:db8:9::/48 lookup 7 priority 20000 protocol 4",
    ] {
        let words = [
            "priorities 20000 to 20999",
            "lookup 7",
            "(protocol 4)",
            "`routing.priority`",
        ];
        refused(Some(rule), &section(&ETH1, ""), &words)?;
    }
    Ok(())
}

#[test]
fn a_gateway_that_is_not_on_the_link() -> Result<()> {
    let elsewhere = Eni {
        gateway: ETH0.gateway,
        ..ETH1
    };
    let words = [
        "eth1: the gateway 172.16.10.253 is not on its link (172.16.20.0/24)",
        "ip route add 172.16.10.253 dev eth1",
    ];
    refused(None, &section(&elsewhere, ""), &words)?;
    let elsewhere = Eni {
        gateway6: ETH0.gateway6,
        ..ETH1
    };
    let words = ["eth1: the gateway 2001:db8:10::fd is not on its link (2001:db8:20::/64)"];
    refused(None, &section(&elsewhere, ""), &words)
}

#[test]
fn a_gateway_that_is_the_host_itself() -> Result<()> {
    let own = Eni {
        gateway: ETH1.addr,
        ..ETH1
    };
    let words = ["eth1: the gateway 172.16.20.193 is an address of this host"];
    refused(None, &section(&own, ""), &words)
}

#[test]
fn two_interfaces_with_one_address() -> Result<()> {
    let both = section(&ETH0, "") + &section(&ETH1, "");
    let words = ["eth0 and eth1: both have 172.16.20.193"];
    refused(Some("ip addr add 172.16.20.193/32 dev eth0"), &both, &words)?;
    let words = ["eth0 and eth1: both have 2001:db8:20::193"];
    refused(
        Some("ip addr add 2001:db8:20::193/128 dev eth0"),
        &both,
        &words,
    )
}

#[test]
fn a_metric_that_another_default_route_has() -> Result<()> {
    refused(
        Some("ip route add default via 172.16.10.253 dev eth0 metric 200"),
        &section(&ETH1, "default_metric = 200"),
        &["eth1: its default_metric makes 200", "higher metric"],
    )
}

#[test]
fn two_entries_for_one_interface() -> Result<()> {
    let scene = Scene::new()?;
    let link = scene.enis.vm.run("ip -br link show eth1")?;
    let mac = link.split_whitespace().nth(2).unwrap_or_default();
    let twice = section(&ETH1, "") + &format!("[[eni]]\nmatch = {{ mac = \"{mac}\" }}\n");
    scene.ctl.configure(&twice)?;
    for verb in VERBS {
        scene.refuses(verb, 1, &["eth1: two [[eni]] mean it (lines 1 and 7)"])?;
    }
    Ok(())
}

#[test]
fn everything_that_is_wrong_is_told_at_once() -> Result<()> {
    let elsewhere = Eni {
        gateway: ETH0.gateway,
        ..ETH1
    };
    let own = Eni {
        gateway: ETH0.addr,
        ..ETH0
    };
    refused(
        None,
        &(section(&own, "") + &section(&elsewhere, "")),
        &["eth0: the gateway", "eth1: the gateway"],
    )
}

/// Fails unless every verb refuses the configuration on a host where this was done before.
fn refused(done: Option<&str>, config: &str, words: &[&str]) -> Result<()> {
    let scene = Scene::new()?;
    if let Some(command) = done {
        scene.enis.vm.run(command)?;
    }
    scene.ctl.configure(config)?;
    VERBS
        .iter()
        .try_for_each(|verb| scene.refuses(verb, 1, words))
}
