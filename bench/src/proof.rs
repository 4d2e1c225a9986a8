//! The proof that a contender did what it was measured at.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use snat_tests::gateway::Gateway;

use crate::{
    contender::{Contender, Running},
    stage::Stage,
    traffic::{Flows, Traffic},
    verify::{Change, Seen, verify},
};

/// So many flows are looked up in the gateway.
const LOOKED_UP: usize = 4;

/// Checks what the sink has kept of the last load: byte by byte, and against the flows that our gateway says it has.
///
/// # Errors
///
/// Nothing was kept, or something is not as it had to be.
pub(crate) fn check(
    contender: Contender,
    stage: &Stage,
    running: &Running,
    traffic: &Traffic,
    flows: &Flows,
) -> Result<()> {
    let Some(change) = change(contender, stage)? else {
        return Ok(());
    };
    let samples = traffic.samples()?;
    ensure!(
        !samples.is_empty(),
        "{}: no packet was kept to be checked",
        contender.name()
    );
    let seen = verify(&samples, &flows.load(&stage.inside()?)?, &change)
        .with_context(|| format!("{} does not do what it has to", contender.name()))?;
    match &running.gateway {
        Some(gateway) => seen
            .iter()
            .take(LOOKED_UP)
            .try_for_each(|seen| known(gateway, seen)),
        None => Ok(()),
    }
}

/// What has to become of a packet; `None` if it is dropped.
fn change(contender: Contender, stage: &Stage) -> Result<Option<Change>> {
    let outside = stage.outside()?;
    let (hops, external) = match contender {
        Contender::Drop => return Ok(None),
        Contender::Redirect | Contender::Find | Contender::Transmit => (0, None),
        Contender::Routing => (1, None),
        Contender::Masquerade | Contender::Flowtable | Contender::Snat(_) => {
            (1, Some(stage.external()))
        }
    };
    Ok(Some(Change {
        macs: [outside.mac, outside.peer_mac],
        hops,
        external,
    }))
}

/// The gateway says the same of the flow as the packet.
fn known(gateway: &Gateway, seen: &Seen) -> Result<()> {
    let [client, server] = [seen.client, seen.server].map(|addr| Ipv4Addr::from(addr).to_string());
    let port = seen.port.to_string();
    let flows = gateway.ctl_json(&[
        "flows",
        "--source",
        &client,
        "--source-port",
        &port,
        "--destination",
        &server,
    ])?;
    let says = flows.pointer("/0/external_port").and_then(Value::as_u64);
    ensure!(
        says == Some(seen.external_port.into()),
        "packets of {client}:{port} to {server} have the external port {}, and `snat-ctl flows` says: {flows}",
        seen.external_port
    );
    Ok(())
}
