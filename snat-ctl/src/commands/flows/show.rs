//! `snat-ctl flows show`: a flow in full.

use anyhow::{Context as _, bail};

use super::rows;
use crate::{
    cli::{flows::FlowsShowArgs, values::Endpoint},
    commands::words,
    datapath::{self, Detail, Filter, Pins, scan},
    output,
};

pub(super) fn execute(pins: &Pins, args: &FlowsShowArgs) -> anyhow::Result<()> {
    let mut filter = Filter {
        protocol: vec![args.protocol.clone()],
        source: vec![args.client.addr.into()],
        source_port: args.client.port.into_iter().collect(),
        ..Filter::default()
    };
    if let Some(Endpoint { addr, port }) = args.server {
        filter.destination = vec![addr.into()];
        filter.port = port.into_iter().collect();
    }
    let mut flows = Vec::new();
    scan(pins, &filter, |flow| flows.push(flow.clone())).context("cannot look for the flow")?;
    let mut details = Vec::new();
    for flow in flows {
        let detail = datapath::detail(pins, flow).context("cannot read the flow")?;
        details.extend(detail);
    }
    if details.is_empty() {
        bail!(
            "there is no such flow; `snat-ctl flows --source {}` lists what that client has",
            args.client.addr
        );
    }
    if args.json {
        return output::print_json(&details);
    }
    let screens: Vec<_> = details.iter().map(screen).collect();
    output::print(&screens.join("\n"))
}

fn screen(detail: &Detail) -> String {
    let flow = &detail.flow;
    let expires = match detail.expires_in_seconds {
        left if left > 0.0 => format!("expires in {} without a packet", words::time(left)),
        _ => "has expired, and waits to be removed".to_owned(),
    };
    let port = match (detail.own_port, flow.external_port) {
        (true, _) => "the client endpoint's own, towards every server",
        (false, 0) => "none",
        (false, _) => "this flow's only; other flows may have it towards other servers",
    };
    let route = match (&flow.eni, &detail.next_hop, detail.mtu) {
        (Some(eni), Some(hop), Some(mtu)) => format!("{eni} to {hop}, MTU {mtu}"),
        _ => "not known before the first packet took it".to_owned(),
    };
    format!(
        "{}\n  state  {}, opened by the {} {} ago\n  idle   {}; {expires}\n  port   {port}\n  route  {route}\n  out    {} packets, {} bytes\n  in     {} packets, {} bytes\n",
        rows::line(flow),
        flow.state,
        detail.opened_by,
        words::time(flow.age_seconds),
        words::time(flow.idle_seconds),
        flow.packets_out,
        flow.bytes_out,
        flow.packets_in,
        flow.bytes_in,
    )
}
