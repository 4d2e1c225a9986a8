//! `snat-ctl explain`: what would happen to this packet now.

use std::{fmt::Write as _, net::SocketAddrV4, process::ExitCode};

use anyhow::Context as _;

use super::flows::loaded;
use crate::{
    cli::{Global, explain::ExplainArgs, values::Endpoint},
    explain::{
        Explainer, Explanation,
        packet::{Asked, protocol, smallest},
    },
    output,
};

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
/// Of a packet whose source port was left out: any client's.
const SRC_PORT: u16 = 40_000;
/// Of one whose destination port was.
const DST_PORT: u16 = 443;

/// Explains. Needs no daemon, and changes nothing.
///
/// # Errors
///
/// When nothing is loaded under that name, or it can't be read from here.
pub fn execute(global: &Global, args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let name = global.instance();
    let pins = loaded(name)?;
    let explainer =
        Explainer::open(name, &pins).with_context(|| format!("cannot read instance {name:?}"))?;
    let explanation = explain(&explainer, args).context("cannot explain this packet")?;
    if args.json {
        output::print_json(&explanation)?;
    } else {
        output::print(&screen(&explanation))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn explain(explainer: &Explainer, args: &ExplainArgs) -> anyhow::Result<Explanation> {
    let mut assumed = Vec::new();
    let ingress = match &args.ingress {
        Some(name) => explainer.interface(name)?,
        None => explainer.ingress(args.src.addr)?,
    };
    let mut packet = packet(args, &mut assumed);
    if args.flags.is_none() && packet.protocol == protocol::TCP {
        let has_flow = explainer.has_flow(&packet, ingress)?;
        let (flags, why) = if has_flow {
            (ACK, "an ACK: there is a flow")
        } else {
            (SYN, "a SYN: there is no flow")
        };
        packet.flags = flags;
        assumed.push(why.to_owned());
    }
    let mut explanation = explainer.explain(&packet, ingress)?;
    if args.ingress.is_none() {
        let ingress = &explanation.packet.ingress;
        assumed.push(format!(
            "in by {ingress}, where the route to {} leads",
            args.src.addr
        ));
    }
    if args.reply {
        (explanation, assumed) = reply(explainer, explanation, assumed)?;
    }
    explanation.assumed = assumed;
    Ok(explanation)
}

/// The answer to a packet that gets through, else that packet: then there is none.
fn reply(
    explainer: &Explainer,
    first: Explanation,
    mut assumed: Vec<String>,
) -> anyhow::Result<(Explanation, Vec<String>)> {
    let Some(reply) = first.reply() else {
        assumed.push("there is no reply to explain: this is the packet itself".to_owned());
        return Ok((first, assumed));
    };
    assumed.push(format!(
        "it answers {} {} -> {}, which ends as {}",
        first.packet.protocol,
        shown(first.packet.src),
        shown(first.packet.dst),
        first.verdict
    ));
    let explanation = explainer.explain(&reply.packet, reply.ingress)?;
    Ok((explanation, assumed))
}

fn packet(args: &ExplainArgs, assumed: &mut Vec<String>) -> Asked {
    let has_ports = matches!(
        args.protocol,
        protocol::TCP | protocol::UDP | protocol::UDP_LITE | protocol::SCTP
    );
    let is_echo = args.protocol == protocol::ICMP;
    // An identifier at the far end makes it a reply.
    let is_reply = is_echo && args.src.port.is_none() && args.dst.port.is_some();
    let mut port = |endpoint: Endpoint, what: &str, default: u16, needed: bool| {
        let port = endpoint.port.unwrap_or_else(|| {
            if needed {
                assumed.push(format!("{what} {default}"));
                default
            } else {
                0
            }
        });
        SocketAddrV4::new(endpoint.addr, if has_ports || is_echo { port } else { 0 })
    };
    let source = if is_echo { "identifier" } else { "source port" };
    let src = port(
        args.src,
        source,
        SRC_PORT,
        has_ports || is_echo && !is_reply,
    );
    let dst = port(args.dst, "destination port", DST_PORT, has_ports);
    Asked {
        protocol: args.protocol,
        src,
        dst,
        ttl: args.ttl,
        size: args.size.unwrap_or(0).max(smallest(args.protocol)),
        dont_fragment: args.df,
        flags: args.flags.unwrap_or(SYN),
        is_reply,
    }
}

fn screen(explanation: &Explanation) -> String {
    let packet = &explanation.packet;
    let mut text = format!(
        "{} {} -> {}, {} bytes, TTL {}{}{}, in by {}\n",
        packet.protocol,
        shown(packet.src),
        shown(packet.dst),
        packet.size,
        packet.ttl,
        if packet.dont_fragment { ", DF" } else { "" },
        packet
            .tcp_flags
            .iter()
            .map(|flag| format!(", {}", flag.to_uppercase()))
            .collect::<String>(),
        packet.ingress
    );
    // Writing to a string cannot fail.
    for assumed in &explanation.assumed {
        let _ = writeln!(text, "  assumed: {assumed}");
    }
    text.push('\n');
    let width = explanation.decisions.iter().map(|one| one.what.len()).max();
    for (number, one) in explanation.decisions.iter().enumerate() {
        let (number, what) = (number + 1, one.what);
        let width = width.unwrap_or(0);
        let _ = writeln!(text, "{number:3}  {what:width$}  {}", one.detail);
        let _ = writeln!(text, "     {:width$}    rests on {}", "", one.rests_on);
    }
    let _ = write!(text, "\n=> {}: ", explanation.verdict);
    let _ = writeln!(text, "{}", end(explanation));
    if let Some(advice) = explanation.advice {
        let _ = writeln!(text, "   {advice}");
    }
    text
}

fn end(explanation: &Explanation) -> String {
    match (&explanation.leaves_as, &explanation.egress) {
        (Some(leaving), Some(egress)) => {
            let (src, dst) = (shown(leaving.src), shown(leaving.dst));
            format!("it leaves by {egress} as {src} -> {dst}")
        }
        _ => format!("{}. {}", explanation.action, explanation.meaning),
    }
}

fn shown(endpoint: crate::explain::Endpoint) -> String {
    match endpoint.port {
        0 => endpoint.addr.to_string(),
        port => format!("{}:{port}", endpoint.addr),
    }
}
