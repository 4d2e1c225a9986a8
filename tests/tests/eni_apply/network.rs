//! The host with ENIs as it is without `snat-ctl`: what fails here is no fault of its policy routes.

use anyhow::Result;
use nix::net::if_::if_nametoindex;
use snat_tests::{
    eni::{ask, only, serve},
    ping::ping,
    topology::{
        enis::{ETH0, ETH1, ETH2, Eni, Enis, SERVER, SERVER6},
        unique_prefix,
    },
};

use super::each_answers_by_its_own;

#[test]
fn without_policy_routes_eth1_answers_by_eth0() -> Result<()> {
    let enis = Enis::build(&unique_prefix())?;
    let _service = serve(&enis)?;
    let [secondary] = ETH1.further else { panic!() };
    only(&ask(&enis, ETH0.eip)?, ("eth0", ETH0.addr.into()))?;
    only(&ask(&enis, ETH1.eip)?, ("eth0", ETH1.addr.into()))?;
    only(&ask(&enis, *secondary)?, ("eth0", (*secondary).into()))?;
    only(&ask(&enis, ETH1.addr6)?, ("eth0", ETH1.addr6.into())).map(drop)
}

#[test]
fn the_documented_commands_have_eth1_answer_by_eth1() -> Result<()> {
    let enis = Enis::build(&unique_prefix())?;
    let _service = serve(&enis)?;
    documented_commands(&enis)?;
    each_answers_by_its_own(&enis)
}

#[test]
fn a_router_that_refuses_spoofed_sources_shows_what_goes_wrong() -> Result<()> {
    let enis = Enis::build(&unique_prefix())?;
    enis.refuse_spoofed()?;
    ping(&enis.srv, ETH0.eip, 1, 1)?;
    ping(&enis.srv, ETH0.addr6, 1, 1)?;
    assert!(ping(&enis.srv, ETH1.eip, 1, 1).is_err());
    assert!(ping(&enis.srv, ETH1.addr6, 1, 1).is_err());
    documented_commands(&enis)?;
    ping(&enis.srv, ETH1.eip, 1, 1)?;
    ping(&enis.srv, ETH1.addr6, 1, 1).map(drop)
}

#[test]
fn an_eni_can_be_pulled_and_plugged() -> Result<()> {
    let enis = Enis::build(&unique_prefix())?;
    enis.plug(&ETH2)?;
    let first = index(&enis)?;
    ping(&enis.srv, ETH2.eip, 1, 1)?;
    enis.unplug(&ETH2)?;
    assert!(index(&enis).is_err());
    enis.plug(&ETH2)?;
    assert_ne!(index(&enis)?, first);
    ping(&enis.srv, ETH2.eip, 1, 1)?;
    ping(&enis.vm, SERVER, 1, 1)?;
    ping(&enis.vm, SERVER6, 1, 1).map(drop)
}

fn index(enis: &Enis) -> Result<u32> {
    enis.vm.enter(|| Ok(if_nametoindex("eth2")?))
}

/// What clouds tell people to put into rc.local.
pub(crate) fn documented_commands(enis: &Enis) -> Result<()> {
    let Eni {
        addr,
        further,
        gateway,
        addr6,
        gateway6,
        ..
    } = ETH1;
    for line in [
        format!("ip route add default via {gateway} dev eth1 table 1001"),
        format!("ip rule add from {addr} lookup 1001"),
        format!("ip rule add from {} lookup 1001", further[0]),
        format!("ip -6 route add default via {gateway6} dev eth1 table 1001"),
        format!("ip -6 rule add from {addr6} lookup 1001"),
    ] {
        enis.vm.run(&line)?;
    }
    Ok(())
}
