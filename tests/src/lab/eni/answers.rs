//! By which interface vm answers, and what srv gets of it.

use std::net::IpAddr;

use anyhow::Result;

use super::Step;
use crate::{
    capture::Counted,
    eni::ask,
    ping::ping,
    topology::enis::{ETH0, ETH1, Eni, Enis, SERVER, SERVER6},
};

/// What srv asks: at which address, of which interface, and the address that vm has there.
fn asked() -> [(IpAddr, Eni, IpAddr); 4] {
    [
        (ETH0.eip.into(), ETH0, ETH0.addr.into()),
        (ETH1.eip.into(), ETH1, ETH1.addr.into()),
        (ETH0.addr6.into(), ETH0, ETH0.addr6.into()),
        (ETH1.addr6.into(), ETH1, ETH1.addr6.into()),
    ]
}

/// The one with the default route sends everything.
pub(super) fn all_by_eth0(step: &mut Step, enis: &Enis) -> Result<()> {
    for (address, eni, source) in asked() {
        let counted = ask(enis, address)?;
        let remark = if eni.dev == "eth1" {
            ": the wrong one"
        } else {
            ""
        };
        saw_answers(step, address, source, &counted, "eth0", remark);
    }
    Ok(())
}

/// Each answers by the interface that was asked.
pub(super) fn each_by_its_own(step: &mut Step, enis: &Enis) -> Result<()> {
    for (address, eni, source) in asked() {
        saw_answers(step, address, source, &ask(enis, address)?, eni.dev, "");
    }
    Ok(())
}

/// What leaves by the wrong interface does not arrive.
pub(super) fn eth1_is_mute(step: &mut Step, enis: &Enis) -> Result<()> {
    enis.refuse_spoofed()?;
    let answers = ping(&enis.srv, ETH0.eip, 7, 3).is_ok();
    step.saw("srv", format!("{} answers", ETH0.eip), answers);

    let leaving = enis.leaving(&[ETH0, ETH1])?;
    let answers = ping(&enis.srv, ETH1.eip, 7, 3).is_ok();
    step.saw(
        "srv",
        format!("nothing comes from {} within 3 s", ETH1.eip),
        !answers,
    );
    let dropped = by("eth0", ETH1.addr.into(), &leaving.count()?);
    step.saw(
        "vpc",
        format!(
            "dropped what came by eth0 from {} (packets: {dropped})",
            ETH1.addr
        ),
        dropped > 0,
    );
    Ok(())
}

/// A default route of eth1 changes nothing for what vm itself begins.
pub(super) fn own_traffic_by_eth0(step: &mut Step, enis: &Enis) -> Result<()> {
    for (server, source) in [
        (IpAddr::from(SERVER), ETH0.addr.into()),
        (SERVER6.into(), ETH0.addr6.into()),
    ] {
        let leaving = enis.leaving(&[ETH0, ETH1])?;
        ping(&enis.vm, server, 7, 3)?;
        let counted = leaving.count()?;
        step.saw(
            "vm",
            format!("pings {server}: {}", every_way(&counted)),
            counted.keys().eq([&("eth0", source)]),
        );
    }
    let defaults = ["ip route show default", "ip -6 route show default"];
    let mut table = String::new();
    for line in defaults {
        table += &enis.vm.run(line)?;
    }
    let second = table.contains(&format!("via {} dev eth1", ETH1.gateway));
    step.saw("vm", "has a default route by eth1", second);
    step.table = Some(table);
    Ok(())
}

fn saw_answers(
    step: &mut Step,
    address: IpAddr,
    source: IpAddr,
    counted: &Counted,
    by: &'static str,
    remark: &str,
) {
    step.saw(
        "vm",
        format!(
            "asked at {address}, answers from {source}: {}{remark}",
            ways(source, counted)
        ),
        counted.keys().eq([&(by, source)]),
    );
}

fn ways(source: IpAddr, counted: &Counted) -> String {
    let [eth0, eth1] = ["eth0", "eth1"].map(|dev| by(dev, source, counted));
    format!("{eth0} packets by eth0, {eth1} by eth1")
}

fn every_way(counted: &Counted) -> String {
    let ways = counted
        .iter()
        .map(|((dev, source), packets)| format!("{packets} packets by {dev} from {source}"));
    ways.collect::<Vec<_>>().join(", ")
}

fn by(dev: &'static str, source: IpAddr, counted: &Counted) -> u64 {
    counted.get(&(dev, source)).copied().unwrap_or_default()
}
