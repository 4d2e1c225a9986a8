//! A configuration as keys and values, in the words of the file.

use std::collections::BTreeMap;

use snat_common::settings::{Filtering, Mapping, protocols, resets};

use super::{super::*, LAST};
use crate::datapath::protocol_label;

/// Values by their keys: `timeouts.udp`, or a table, its name and a key of it.
pub(super) type Layout = BTreeMap<String, Value>;

/// What a key has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// One text; of a table itself none.
    One(Vec<String>),
    /// Elements, in no order that matters.
    List(Vec<String>),
}

impl Value {
    pub(super) fn texts(&self) -> &[String] {
        match self {
            Self::One(texts) | Self::List(texts) => texts,
        }
    }
}

/// Lays out all that makes a difference.
pub(super) fn layout(file: &File) -> Layout {
    let mut layout = Layout::new();
    if let Some(config) = &file.gateway {
        gateway(&mut layout, config);
        sections(&mut layout, config);
        config
            .snat
            .iter()
            .for_each(|entry| snat(&mut layout, entry));
    }
    match &file.routing {
        Some(all) => routing(&mut layout, all),
        None => routing(&mut layout, &Routing::default()),
    }
    layout
}

fn one(layout: &mut Layout, key: impl Into<String>, value: &dyn ToString) {
    layout.insert(key.into(), Value::One(vec![value.to_string()]));
}

fn list<T: ToString>(
    layout: &mut Layout,
    key: impl Into<String>,
    values: impl IntoIterator<Item = T>,
) {
    let mut texts: Vec<_> = values.into_iter().map(|value| value.to_string()).collect();
    texts.sort();
    layout.insert(key.into(), Value::List(texts));
}

fn table(layout: &mut Layout, name: &str) {
    layout.insert(name.to_owned(), Value::One(Vec::new()));
}

fn gateway(layout: &mut Layout, config: &Config) {
    let Gateway {
        name,
        interfaces,
        interfaces_line: _,
        datapath,
        max_flows,
        mss_clamp,
    } = &config.gateway;
    one(layout, "gateway.name", &name);
    list(layout, "interfaces", interfaces);
    let datapath = match datapath {
        Datapath::Auto => "auto",
        Datapath::Xdp => "xdp",
        Datapath::XdpGeneric => "xdp-generic",
        Datapath::Tc => "tc",
    };
    one(layout, "gateway.datapath", &datapath);
    one(layout, "gateway.max_flows", &max_flows);
    let mss = match mss_clamp {
        MssClamp::Off => "off".to_owned(),
        MssClamp::Auto => "auto".to_owned(),
        MssClamp::To(mss) => mss.to_string(),
    };
    one(layout, "gateway.mss_clamp", &mss);
    let bypass = config.bypass.iter().flat_map(|bypass| &bypass.destination);
    list(layout, "bypass", bypass);
    for forward in &config.forward {
        let protocol = protocol_label(forward.protocol as u8, 0);
        let key = format!("forward {protocol} {}", forward.external);
        one(layout, key, &forward.internal);
    }
}

fn snat(layout: &mut Layout, entry: &Snat) {
    let name = format!("snat {:?}", entry.name);
    let key = |key: &str| format!("{name}{LAST}{key}");
    table(layout, &name);
    list(layout, key("source"), &entry.source);
    let external = entry.external.iter().map(|external| match external {
        External::Auto => "auto".to_owned(),
        External::Addr(addr) => addr.to_string(),
    });
    list(layout, key("external"), external);
    let ports = match &entry.ports {
        Ports::Auto => "auto".to_owned(),
        Ports::Ranges(ranges) => {
            let text = |range: &std::ops::RangeInclusive<u16>| {
                format!("{}-{}", range.start(), range.end())
            };
            ranges.iter().map(text).collect::<Vec<_>>().join(",")
        }
    };
    one(layout, key("ports"), &ports);
    let mapping = match entry.mapping {
        Mapping::Auto => "auto",
        Mapping::EndpointIndependent => "endpoint-independent",
        Mapping::AddressAndPortDependent => "address-and-port-dependent",
    };
    one(layout, key("mapping"), &mapping);
    let filtering = match entry.filtering {
        Filtering::AddressAndPortDependent => "address-and-port-dependent",
        Filtering::AddressDependent => "address-dependent",
        Filtering::EndpointIndependent => "endpoint-independent",
    };
    one(layout, key("filtering"), &filtering);
}

fn sections(layout: &mut Layout, config: &Config) {
    timeouts(layout, &config.timeouts);
    let Limits {
        flows_per_source,
        new_flows_per_source,
        fragments_per_source,
        answers_per_second,
    } = config.limits;
    for (key, limit) in [
        ("flows_per_source", flows_per_source),
        ("new_flows_per_source", new_flows_per_source),
        ("fragments_per_source", fragments_per_source),
        ("answers_per_second", answers_per_second),
    ] {
        one(layout, format!("limits.{key}"), &limit);
    }
    let refused = match config.answers.refused {
        Refusal::AdminProhibited => "admin-prohibited",
        Refusal::HostUnreachable => "host-unreachable",
        Refusal::Silence => "silence",
    };
    one(layout, "answers.refused", &refused);
    let set = |names: &[(&'static str, u8)], bits: u8| {
        let names = names.iter().filter(|(_, bit)| bits & bit != 0);
        names.map(|(name, _)| *name).collect::<Vec<_>>()
    };
    let whom = [("clients", resets::CLIENTS), ("servers", resets::SERVERS)];
    list(layout, "answers.reset", set(&whom, config.answers.reset));
    let known = [
        ("udp_lite", protocols::UDP_LITE),
        ("sctp", protocols::SCTP),
        ("gre", protocols::GRE),
        ("esp", protocols::ESP),
        ("others", protocols::OTHERS),
    ];
    list(layout, "protocols", set(&known, config.protocols));
    if let Some(listen) = config.metrics {
        one(layout, "metrics.listen", &listen);
    }
    if let Some(Log { to, destinations }) = &config.log {
        let to = match to {
            LogTo::Journal => "journal".to_owned(),
            LogTo::File(path) => path.display().to_string(),
        };
        one(layout, "log.mappings", &to);
        one(layout, "log.destinations", &destinations);
    }
}

fn timeouts(layout: &mut Layout, timeouts: &Timeouts) {
    let Timeouts {
        tcp_opening,
        tcp_established,
        tcp_closing,
        udp,
        icmp,
        other,
        port_rest,
    } = *timeouts;
    for (key, duration) in [
        ("tcp_opening", tcp_opening),
        ("tcp_established", tcp_established),
        ("tcp_closing", tcp_closing),
        ("udp", udp),
        ("icmp", icmp),
        ("other", other),
        ("port_rest", port_rest),
    ] {
        let text = humantime::format_duration(duration);
        one(layout, format!("timeouts.{key}"), &text);
    }
}

fn routing(layout: &mut Layout, routing: &Routing) {
    let Routing {
        priority,
        mark_mask,
        bypass,
        enis,
        rules,
    } = routing;
    one(layout, "routing.priority", &priority);
    one(layout, "routing.mark_mask", &format!("{mark_mask:#x}"));
    list(layout, "routing.bypass", bypass);
    enis.iter().for_each(|interface| eni(layout, interface));
    // The first that matches counts, so their numbers are what they are told apart by.
    for (number, rule) in rules.iter().enumerate() {
        one(layout, format!("rule {}", number + 1), &rule_text(rule));
    }
}

fn eni(layout: &mut Layout, eni: &Eni) {
    let Eni {
        matcher,
        table: number,
        gateway,
        gateway6,
        default_metric,
        prefixes,
        mark,
        weight,
        line: _,
    } = eni;
    let name = format!("eni {matcher}");
    let key = |key: &str| format!("{name}{LAST}{key}");
    table(layout, &name);
    let or_none = |value: &Option<u32>, none: &str| {
        value.map_or_else(|| none.to_owned(), |value| value.to_string())
    };
    one(layout, key("table"), &or_none(number, "allocated"));
    one(layout, key("gateway"), &next_hop(gateway));
    one(layout, key("gateway6"), &next_hop(gateway6));
    one(
        layout,
        key("default_metric"),
        &or_none(default_metric, "none"),
    );
    list(layout, key("prefixes"), prefixes);
    one(
        layout,
        key("mark"),
        &mark.map_or_else(|| "none".to_owned(), masked),
    );
    one(layout, key("weight"), &or_none(weight, "none"));
}

fn next_hop(gateway: &NextHop) -> String {
    match gateway {
        NextHop::Auto => "auto".to_owned(),
        NextHop::None => "none".to_owned(),
        NextHop::Addr(addr) => addr.to_string(),
    }
}

fn masked((mark, mask): (u32, u32)) -> String {
    format!("{mark:#x}/{mask:#x}")
}

fn rule_text(rule: &AccessRule) -> String {
    let AccessRule {
        source,
        destination,
        interface,
        protocol,
        source_ports,
        destination_ports,
        mark,
        verdict,
        line: _,
    } = rule;
    let nets = |nets: &[ipnet::IpNet]| {
        nets.iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(",")
    };
    let ports = |(first, last): (u16, u16)| format!("{first}-{last}");
    let words = [
        ("source", (!source.is_empty()).then(|| nets(source))),
        (
            "destination",
            (!destination.is_empty()).then(|| nets(destination)),
        ),
        ("interface", interface.clone()),
        ("protocol", protocol.map(|protocol| protocol.to_string())),
        ("source_ports", source_ports.map(ports)),
        ("destination_ports", destination_ports.map(ports)),
        ("mark", mark.map(masked)),
    ];
    let mut text: Vec<_> = words
        .into_iter()
        .filter_map(|(word, value)| Some(format!("{word} {}", value?)))
        .collect();
    text.push(match verdict {
        RuleVerdict::Eni(eni) => format!("lookup {eni}"),
        RuleVerdict::Table(table) => format!("lookup {table}"),
        RuleVerdict::Unreachable => "unreachable".to_owned(),
        RuleVerdict::Prohibit => "prohibit".to_owned(),
        RuleVerdict::Blackhole => "blackhole".to_owned(),
    });
    text.join(", ")
}
