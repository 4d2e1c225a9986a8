//! Puts together what is told of a packet's way.

use std::net::{Ipv4Addr, SocketAddrV4};

use snat_common::{Action, FlowKey, Packet as _, Verdict, parse::parse, tcp};

use super::{
    ExplainError,
    decisions::{Decision, Teller},
    explanation::{Explanation, Leaving, Reply},
    names::{Names, mac},
    packet::{Asked, Frame, protocol},
    stack::{Does, stack},
    view::View,
    walk::{Walk, walk},
};

/// Whether a flow is open for the packet.
pub(super) fn has_flow(view: &View, packet: &Asked, ingress: u32) -> Result<bool, ExplainError> {
    let Some(key) = key(&packet.frame(view.station(ingress)?)) else {
        return Ok(false);
    };
    let Some(flow) = view.tables.flow(&key)? else {
        return Ok(false);
    };
    let seen = view.seen_flow(&key, flow);
    let timeout = view.tables.settings.timeouts.get(usize::from(seen.state));
    Ok(timeout.is_some_and(|timeout| seen.idle <= *timeout))
}

/// Sends the packet through, and says what became of it.
pub(super) fn explain(
    view: &View,
    names: &Names,
    packet: &Asked,
    ingress: u32,
) -> Result<Explanation, ExplainError> {
    let mut explanation = Explanation::blank(names.interface(ingress), packet);
    let verdict = if view.tables.slot(ingress)?.is_some() {
        let walk = walk(view, ingress, packet)?;
        tell(view, names, packet, ingress, &walk, &mut explanation)?;
        Some(walk.verdict())
    } else {
        explanation.decisions.push(Decision::new(
            "interface",
            format!(
                "{} is none of the gateway's interfaces: no program of ours sees what comes in there",
                names.interface(ingress)
            ),
            names.file.interfaces(),
        ));
        None
    };
    if verdict.is_none_or(|verdict| verdict.action() == Action::Pass) {
        pass(view, names, packet, ingress, verdict, &mut explanation)?;
    }
    Ok(explanation)
}

/// What the engine decided.
fn tell(
    view: &View,
    names: &Names,
    packet: &Asked,
    ingress: u32,
    walk: &Walk,
    explanation: &mut Explanation,
) -> Result<(), ExplainError> {
    for (round, (asked, verdict)) in walk.rounds.iter().enumerate() {
        let teller = Teller {
            view,
            names,
            ingress,
            again: round > 0,
        };
        explanation.decisions.extend(teller.tell(asked, *verdict)?);
        explanation.end(*verdict);
    }
    let verdict = walk.verdict();
    if matches!(verdict.action(), Action::Forward | Action::Split) {
        leave(view, names, packet, walk, explanation)?;
    }
    if let Some(answer) = &walk.answer {
        let told = told(answer);
        explanation.decisions.push(Decision::new(
            "answer",
            format!("{} is told: {told}", packet.src.ip()),
            "[answers]",
        ));
        explanation.answer = Some(told);
    }
    Ok(())
}

/// Where the packet goes, and as whom.
fn leave(
    view: &View,
    names: &Names,
    packet: &Asked,
    walk: &Walk,
    explanation: &mut Explanation,
) -> Result<(), ExplainError> {
    let original = packet.frame([0; 6]);
    let translated = match walk.verdict().action() {
        Action::Split => pieces(view, &walk.frame)?,
        _ => walk.frame.endpoints(),
    };
    let Some((src, dst)) = translated else {
        return Ok(());
    };
    let first = key(&original).map(|key| (key, view.tables.flow(&key)));
    let is_inbound = match first {
        Some((_, flow)) => flow?.is_some_and(|flow| flow.life().is_inbound()),
        None => false,
    };
    explanation.external = Some(if is_inbound { packet.dst } else { src }.into());
    explanation.leaves_as = Some(Leaving {
        src: src.into(),
        dst: dst.into(),
    });
    let egress = names.interface(walk.hop.ifindex);
    let detail = if walk.hop.unresolved == [0; 4] {
        format!("out by {egress} to {}", mac(walk.hop.dst_mac))
    } else {
        let gateway = Ipv4Addr::from(walk.hop.unresolved);
        format!("out by {egress}, once {gateway} has said where it is")
    };
    let has_asked = explanation
        .decisions
        .iter()
        .any(|decision| decision.what == "route");
    let rests_on = if has_asked {
        "the route above"
    } else {
        "the next hop that the flow has cached"
    };
    explanation
        .decisions
        .push(Decision::new("egress", detail, rests_on));
    explanation.egress = Some(egress);
    explanation.reply = Some(reply(packet, src, dst, walk.hop.ifindex));
    Ok(())
}

/// As whom the pieces of a packet leave that is to be cut up: each finds the flow that was opened.
fn pieces(
    view: &View,
    whole: &Frame,
) -> Result<Option<(SocketAddrV4, SocketAddrV4)>, ExplainError> {
    let (Some(key), Some((src, dst))) = (key(whole), whole.endpoints()) else {
        return Ok(None);
    };
    Ok(view.tables.flow(&key)?.map(|flow| {
        let (addr, port) = flow.target();
        let target = SocketAddrV4::new(addr.into(), port);
        if flow.life().is_inbound() {
            (src, target)
        } else {
            (target, dst)
        }
    }))
}

fn reply(packet: &Asked, src: SocketAddrV4, dst: SocketAddrV4, ingress: u32) -> Reply {
    let flags = match packet.flags & tcp::SYN {
        0 => tcp::ACK,
        _ => tcp::SYN | tcp::ACK,
    };
    let packet = Asked {
        src: dst,
        dst: src,
        ttl: 64,
        flags,
        is_reply: !packet.is_reply,
        ..*packet
    };
    Reply { packet, ingress }
}

/// What the stack does with it.
fn pass(
    view: &View,
    names: &Names,
    packet: &Asked,
    ingress: u32,
    verdict: Option<Verdict>,
    explanation: &mut Explanation,
) -> Result<(), ExplainError> {
    let stack = stack(view, ingress, packet, verdict.unwrap_or(Verdict::NotOurs))?;
    let egress = stack.egress.map(|egress| names.interface(egress));
    let detail = match &egress {
        Some(egress) => format!("the stack {}, by {egress}", stack.words),
        None => format!("the stack {}", stack.words),
    };
    let what = match stack.does {
        Does::IsStopped => "guard",
        _ => "stack",
    };
    explanation.decisions.push(Decision::new(
        what,
        detail,
        "the kernel's route and socket lookup; netfilter is not asked",
    ));
    explanation.stack = Some(stack.does);
    match stack.does {
        Does::IsStopped => explanation.end(Verdict::LeakStopped),
        Does::Forwards => explanation.egress = egress,
        _ => {}
    }
    Ok(())
}

fn key(frame: &Frame) -> Option<FlowKey> {
    parse(frame).ok().map(|parsed| parsed.key)
}

/// An ICMP error or a reset, in words.
fn told(answer: &Frame) -> String {
    let packet = answer.packet();
    let from = packet
        .get(12..16)
        .and_then(|addr| <[u8; 4]>::try_from(addr).ok())
        .map_or(Ipv4Addr::UNSPECIFIED, Ipv4Addr::from);
    let icmp = answer
        .window::<2>(34)
        .filter(|_| packet.get(9) == Some(&protocol::ICMP));
    let message = match icmp {
        None => "TCP RST",
        Some([3, 1]) => "ICMP host unreachable",
        Some([3, 4]) => "ICMP fragmentation needed",
        Some([3, 13]) => "ICMP communication administratively prohibited",
        Some([3, _]) => "ICMP destination unreachable",
        Some([11, _]) => "ICMP time exceeded",
        Some(_) => "ICMP",
    };
    format!("{message}, from {from}")
}
