//! A program's numbers about a packet, as a line.

use std::net::SocketAddrV4;

use log::{Log, Metadata, Record};
use nix::net::if_::if_indextoname;
use snat_common::{
    Verdict,
    trace::{Found, HANDED_ON, NO_ENTRY, Program, Told, UNASKED, WORDS},
};

use crate::datapath::protocol_label;

/// Prints what the datapath sends.
pub(super) struct Teller;

impl Log for Teller {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if let Some(told) = parse(&record.args().to_string()) {
            eprintln!("trace: {}", line(&told, &name));
        }
    }

    fn flush(&self) {}
}

fn parse(text: &str) -> Option<Told> {
    let mut words = [0; WORDS];
    let mut parts = text.split_whitespace();
    for word in &mut words {
        *word = parts.next()?.parse().ok()?;
    }
    Some(Told::of(words))
}

fn name(ifindex: u32) -> String {
    if_name(ifindex).unwrap_or_else(|| format!("interface {ifindex}"))
}

fn if_name(ifindex: u32) -> Option<String> {
    if_indextoname(ifindex).ok()?.into_string().ok()
}

fn line(told: &Told, name: &dyn Fn(u32) -> String) -> String {
    let parts = [
        Some(found(told)),
        entry(told),
        bypass(told),
        Some(end(told, name)),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    format!(
        "{} {}: {} {} -> {}: {}",
        program(told.program),
        name(told.ingress),
        protocol_label(told.protocol, told.number),
        endpoint(told.src, told.src_port),
        endpoint(told.dst, told.dst_port),
        parts.join("; ")
    )
}

fn found(told: &Told) -> String {
    const OUT: u8 = Found::Out as u8;
    const IN: u8 = Found::In as u8;
    let target = endpoint(told.target, told.target_port);
    match told.found {
        OUT => format!("flow of the client's, external {target}"),
        IN => format!("flow of client {target}"),
        _ => "no flow".to_owned(),
    }
}

fn entry(told: &Told) -> Option<String> {
    match told.entry {
        UNASKED => None,
        NO_ENTRY => Some("no [[snat]] has this source".to_owned()),
        index => Some(format!("[[snat]] number {}", index + 1)),
    }
}

fn bypass(told: &Told) -> Option<String> {
    match told.bypassed {
        0 => Some("not bypassed".to_owned()),
        1 => Some("bypassed".to_owned()),
        _ => None,
    }
}

fn end(told: &Told, name: &dyn Fn(u32) -> String) -> String {
    if told.verdict == HANDED_ON {
        return "handed on".to_owned();
    }
    let verdict = Verdict::ALL.get(usize::from(told.verdict));
    let verdict = verdict.map_or("unknown", |verdict| verdict.name());
    if told.program == Program::Open as u8 && told.verdict == Verdict::TranslatedOut as u8 {
        "flow opened".to_owned()
    } else if told.egress == 0 {
        verdict.to_owned()
    } else {
        format!("{verdict}, sent by {}", name(told.egress))
    }
}

fn program(number: u8) -> &'static str {
    match number {
        0 => "snat_xdp",
        1 => "snat_tc",
        2 => "snat_tc_slow",
        3 => "snat_tc_open",
        _ => "unknown",
    }
}

fn endpoint(addr: [u8; 4], port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(addr.into(), port)
}

#[cfg(test)]
mod tests {
    use snat_common::{
        FlowKey, Protocol,
        trace::{Found, Program, Story},
    };

    use super::{HANDED_ON, Verdict, line, parse};

    fn said(story: &Story) -> String {
        let text = story.words().map(|word| word.to_string()).join(" ");
        let told = parse(&text).expect("numbers");
        line(&told, &|ifindex| format!("eth{ifindex}"))
    }

    #[test]
    fn a_line_says_what_was_found_asked_and_done() {
        let key = FlowKey {
            src: [172, 16, 1, 11],
            src_port: 4000,
            dst: [198, 51, 100, 20],
            dst_port: 9,
            protocol: Protocol::Udp,
            ..FlowKey::NONE
        };
        let mut story = Story::of(key, Program::Slow as u8, HANDED_ON, 1, 0);
        story.entry = 0;
        story.bypassed = 0;
        assert_eq!(
            said(&story),
            "snat_tc_slow eth1: udp 172.16.1.11:4000 -> 198.51.100.20:9: no flow; [[snat]] number 1; \
             not bypassed; handed on"
        );
        story.program = Program::Tc as u8;
        story.found = Found::Out as u8;
        (story.target, story.target_port) = ([203, 0, 113, 10], 32001);
        (story.entry, story.bypassed) = (u32::MAX, u32::MAX);
        story.verdict = Verdict::TranslatedOut as u8;
        story.egress = 2;
        assert_eq!(
            said(&story),
            "snat_tc eth1: udp 172.16.1.11:4000 -> 198.51.100.20:9: flow of the client's, external \
             203.0.113.10:32001; translated_out, sent by eth2"
        );
        assert_eq!(parse("1 2 3"), None);
        assert_eq!(parse("1 2 3 4 five"), None);
    }
}
