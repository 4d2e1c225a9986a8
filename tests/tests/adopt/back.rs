//! From the gateway to the kernel.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use snat_tests::{
    gateway::{Gateway, nft_masquerade},
    session::LineServer,
    traffic::{ECHO, SSH},
    udp::UdpEcho,
    wait,
};

use crate::{
    crowd::{Crowd, Ping},
    ground::Ground,
    over::same,
};

const TCP: usize = 100;
const UDP: usize = 10;

/// Some connections the kernel has had before, and still remembers; some are the gateway's own.
#[test]
fn flows_that_are_handed_back_go_on_as_the_same() -> Result<()> {
    let ground = Ground::build("xdp", "", "")?;
    nft_masquerade(&ground.topology)?;
    let _lines = LineServer::start(&ground.topology.server.netns, SSH)?;
    let _echo = UdpEcho::start(&ground.topology.server.netns, ECHO)?;
    let mut silent = Crowd::open(&ground, TCP, UDP)?;
    ground.adopt_ends(0, &[])?;
    ground.no_rules()?;
    let gateway = Gateway::start_with(&ground.topology, ground.name(), &ground.text()?)?;
    let talking = Crowd::open(&ground, TCP, UDP)?.keep_talking();
    let ping = Ping::start(&ground)?;
    let before = wait::until(Duration::from_secs(5), "all are flows", || {
        let flows = ground.flows()?;
        ensure!(flows.len() == 2 * (TCP + UDP) + 1, "{}", flows.len());
        Ok(flows)
    })?;

    let refused = ground.unload(&["--hand-back"])?;
    let said = String::from_utf8_lossy(&refused.stderr);
    ensure!(refused.status.code() == Some(1), "{refused:?}");
    ensure!(said.contains("no rules that translate sources"), "{said}");
    ensure!(gateway.ctl_json(&["status"])?["daemon"] == gateway.pid());

    nft_masquerade(&ground.topology)?;
    let ended = ground.unload(&["--hand-back"])?;
    ensure!(ended.status.success(), "{ended:?}");
    let report: Value = serde_json::from_slice(&ended.stdout)?;
    let handed = &report["hand_back"];
    ensure!(handed["handed_back"] == before.len(), "{report}");
    ensure!(handed["taken"] == 0 && handed["not_open"] == 0, "{report}");

    same(&before, &ground.tracked()?)?;
    silent.talk()?;
    let (mut talked, _) = talking.stop()?;
    talked.talk()?;
    ping.finish()?;
    same(&before, &ground.tracked()?)?;
    // And they end as the kernel's own do.
    drop((silent, talked));
    wait::until(Duration::from_secs(10), "no TCP connection is open", || {
        let open = ground.gw().enter(|| {
            let mut open = 0;
            snat_ctl::netlink::conntrack::for_each(|connection| {
                use snat_ctl::netlink::conntrack::TcpState;
                let state = connection.tcp.map(|tcp| tcp.state);
                open += u32::from(state == Some(TcpState::Established));
            })?;
            Ok(open)
        })?;
        ensure!(open == 0, "{open} are open to the kernel");
        Ok(())
    })
}

#[test]
fn without_a_datapath_there_is_nothing_to_hand_back() -> Result<()> {
    let ground = Ground::build("tc", "", "")?;
    let ended = ground.unload(&["--hand-back"])?;
    ensure!(ended.status.success(), "{ended:?}");
    let report: Value = serde_json::from_slice(&ended.stdout)?;
    ensure!(
        report["removed"] == false && report["hand_back"].is_null(),
        "{report}"
    );
    Ok(())
}
