//! Files for systemd-networkd.
//!
//! An interface that networkd manages gets a drop-in beside its file, so that what that file says of addresses stays.
//! One that it does not manage needs a whole file, with its addresses as they are.

use std::fmt::Write as _;

use super::{File, Intent, Interface, Rendered, left_out, one_line, owner};
use crate::{
    config::mac_text,
    eni::{Action, Family, Route, RouteKind, Rule},
};

/// What networkd knows by number, the kernel's `IPPROTO_*`. It ignores a line with another number, and the rule would
/// hold for every protocol.
const PROTOCOLS: [u8; 27] = [
    1, 2, 4, 6, 8, 12, 17, 22, 29, 33, 41, 43, 44, 46, 47, 50, 51, 58, 59, 60, 92, 94, 98, 103,
    108, 132, 136,
];

pub(super) fn render(intent: &Intent<'_>) -> Rendered {
    let mut rendered = Rendered {
        files: Vec::new(),
        left_out: Vec::new(),
    };
    for interface in intent.interfaces {
        let file = file(intent, interface, &mut rendered.left_out);
        rendered.files.push(file);
    }
    rendered
}

fn file(intent: &Intent<'_>, interface: &Interface, all_left_out: &mut Vec<String>) -> File {
    let (path, mut text) = match &interface.network_file {
        Some(file) => drop_in(interface, file),
        None => whole(interface),
    };
    for (route, why) in owner::routes(intent, interface) {
        section_of_route(&mut text, route, why);
    }
    for (rule, why) in owner::rules(intent, interface) {
        match unspeakable(rule) {
            None => section_of_rule(&mut text, rule, why),
            Some(reason) => {
                let said = left_out(rule, reason);
                let _ = writeln!(text, "\n# {said}");
                all_left_out.push(said);
            }
        }
    }
    File {
        path,
        text,
        mode: 0o644,
    }
}

fn drop_in(interface: &Interface, file: &str) -> (String, String) {
    let (path, name) = (file.rsplit('/').next().unwrap_or(file), &interface.name);
    let head = format!(
        "# Policy routes of {name}, written by `snat-ctl eni render --format networkd`.\n\
         # A drop-in: added to {file}, which goes on to say what addresses {name} has.\n{BOTH}"
    );
    (format!("/etc/systemd/network/{path}.d/50-snat.conf"), head)
}

fn whole(interface: &Interface) -> (String, String) {
    let name = &interface.name;
    let mut text = format!(
        "# {name} and its policy routes, written by `snat-ctl eni render --format networkd`.\n\
         # A whole file, with the addresses that {name} had, for networkd did not manage it. networkd takes the first\n\
         # file that matches an interface, in the order of names: if there is another one for {name}, put all from the\n\
         # first [Route] on into /etc/systemd/network/THAT-FILE.d/50-snat.conf instead. Let it be read first at boot:\n\
         # networkd 252 comes to no end with an interface that already has two addresses of one subnet.\n{BOTH}\n[Match]\n"
    );
    // By name as well: a VLAN or a bridge has the MAC of what is below it.
    let _ = writeln!(text, "Name={name}");
    if let Some(mac) = interface.mac {
        let _ = writeln!(text, "MACAddress={}", mac_text(mac));
    }
    text.push_str("\n[Network]\n");
    for address in &interface.addresses {
        let _ = writeln!(text, "Address={address}");
    }
    for route in &interface.default_routes {
        section_of_route(
            &mut text,
            route,
            "the main table's default route, as it was",
        );
    }
    (format!("/etc/systemd/network/70-snat-{name}.network"), text)
}

const BOTH: &str = "# `networkctl reload` reads it. When networkd starts, it removes rules and routes that are not in its files, unless\n\
    # networkd.conf says ManageForeignRoutingPolicyRules=no and ManageForeignRoutes=no.\n\
    # It needs systemd 249 or newer.\n";

fn section_of_route(text: &mut String, route: &Route, why: &str) {
    let _ = writeln!(
        text,
        "\n# {}\n[Route]\nDestination={}",
        one_line(why),
        route.destination
    );
    let kind = match route.kind {
        RouteKind::Unicast | RouteKind::Other(_) => None,
        RouteKind::Unreachable => Some("unreachable"),
        RouteKind::Prohibit => Some("prohibit"),
        RouteKind::Blackhole => Some("blackhole"),
    };
    line(text, "Type", kind);
    line(text, "Gateway", route.gateway);
    line(text, "GatewayOnLink", route.onlink.then_some("yes"));
    line(text, "Scope", (route.scope == 253).then_some("link"));
    line(text, "PreferredSource", route.source);
    line(
        text,
        "Metric",
        Some(route.metric).filter(|metric| *metric != 0),
    );
    line(text, "Table", Some(route.table));
}

fn section_of_rule(text: &mut String, rule: &Rule, why: &str) {
    let _ = writeln!(text, "\n# {}\n[RoutingPolicyRule]", one_line(why));
    let family = match rule.family {
        Family::Inet => "ipv4",
        Family::Inet6 => "ipv6",
    };
    line(text, "Family", Some(family));
    line(text, "Priority", Some(rule.priority));
    line(text, "InvertRule", rule.inverted.then_some("yes"));
    line(text, "From", rule.source);
    line(text, "To", rule.destination);
    line(text, "IncomingInterface", rule.iif.as_ref());
    line(text, "OutgoingInterface", rule.oif.as_ref());
    line(
        text,
        "FirewallMark",
        rule.mark.map(|(mark, mask)| format!("{mark}/{mask}")),
    );
    line(text, "IPProtocol", rule.ip_protocol);
    line(text, "SourcePort", rule.source_ports.map(ports));
    line(text, "DestinationPort", rule.destination_ports.map(ports));
    line(text, "SuppressPrefixLength", rule.suppress_prefix_length);
    match rule.action {
        Action::Lookup(table) => line(text, "Table", Some(table)),
        Action::Unreachable => line(text, "Type", Some("unreachable")),
        Action::Prohibit => line(text, "Type", Some("prohibit")),
        Action::Blackhole => line(text, "Type", Some("blackhole")),
        Action::Other(_) => {}
    }
}

fn ports((first, last): (u16, u16)) -> String {
    if first == last {
        first.to_string()
    } else {
        format!("{first}-{last}")
    }
}

fn line(text: &mut String, key: &str, value: Option<impl std::fmt::Display>) {
    if let Some(value) = value {
        let _ = writeln!(text, "{key}={value}");
    }
}

/// Why networkd would make another rule of it.
fn unspeakable(rule: &Rule) -> Option<&'static str> {
    match (rule.mark, rule.ip_protocol) {
        (Some((0, _)), _) => Some("networkd takes mark 0 for no mark"),
        (_, Some(protocol)) if !PROTOCOLS.contains(&protocol) => {
            Some("networkd does not know that protocol number")
        }
        _ => None,
    }
}
