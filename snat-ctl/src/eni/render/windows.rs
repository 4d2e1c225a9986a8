//! A command script for Windows.
//!
//! Windows has one table and no rules. But it sends with a source address only by the interface that has it ("strong
//! host model", since Vista), if that one has a route: so a default route for each ENI does what `from` rules do here.

use std::{collections::BTreeSet, fmt::Write as _, net::IpAddr};

use super::{File, Intent, Interface, Rendered, Route};
use crate::eni::{MAIN, RouteKind};

/// Of a default route that has no metric of its own in the main table: worse than any that Windows chooses by itself.
const METRIC: u32 = 9000;
/// The largest that `route` takes.
const LARGEST: u32 = 9999;

pub(super) fn render(intent: &Intent<'_>) -> Rendered {
    let left_out = left_out(intent);
    let mut text = String::from(
        "@echo off\n\
         rem Default routes of network interfaces (ENIs), written by `snat-ctl eni render --format windows`.\n\
         rem Windows replies by the interface that has the address asked, if that interface has a default route.\n\
         rem Run as administrator, once: the routes persist.\n\
         rem\n\
         rem Put the interfaces' numbers here. `route print` lists them at its top, each with its MAC address.\n",
    );
    let routes = routes(intent);
    let numbered: BTreeSet<&str> = routes.iter().map(|(name, _)| *name).collect();
    for interface in intent
        .interfaces
        .iter()
        .filter(|one| numbered.contains(&*one.name))
    {
        number(&mut text, interface);
    }
    text.push('\n');
    for name in &numbered {
        let variable = variable(name);
        let _ = writeln!(
            text,
            "if \"%{variable}%\"==\"\" (echo {variable} is not set: see the top of this file& exit /b 1)"
        );
    }
    text.push('\n');
    for (name, route) in &routes {
        command(&mut text, &variable(name), route);
    }
    text.push('\n');
    left_out.iter().for_each(|said| {
        let _ = writeln!(text, "rem {said}");
    });
    Rendered {
        files: vec![File {
            path: "snat-eni.cmd".to_owned(),
            // cmd.exe loses its place in files without carriage returns.
            text: text.replace('\n', "\r\n"),
            mode: 0o644,
        }],
        left_out,
    }
}

/// One default route for each ENI and family that has none: with the main table's metric where it is to have one.
fn routes<'a>(intent: &Intent<'a>) -> Vec<(&'a str, Route)> {
    let mut found: Vec<(&str, Route)> = Vec::new();
    for interface in intent.interfaces {
        let ours = intent
            .routes
            .iter()
            .map(|(route, _)| route)
            .filter(|route| {
                route.is_default()
                    && route.gateway.is_some()
                    && route.dev.as_deref() == Some(&interface.name)
            });
        let mut ours: Vec<_> = ours.cloned().collect();
        ours.sort_by_key(|route| route.table != MAIN);
        for mut route in ours {
            let has = interface
                .default_routes
                .iter()
                .any(|other| other.family() == route.family());
            let again = found
                .iter()
                .any(|(name, other)| *name == interface.name && other.family() == route.family());
            if !has && !again {
                route.metric = match route.table {
                    MAIN => route.metric.clamp(1, LARGEST),
                    _ => METRIC,
                };
                found.push((&interface.name, route));
            }
        }
    }
    found
}

fn number(text: &mut String, interface: &Interface) {
    let mac = interface
        .mac
        .map(|mac| mac.map(|byte| format!("{byte:02x}")).join(" "));
    let mac = mac.map(|mac| format!(", {mac}")).unwrap_or_default();
    let _ = writeln!(
        text,
        "rem {}{mac}:\nset {}=",
        interface.name,
        variable(&interface.name)
    );
}

fn variable(name: &str) -> String {
    let letter = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    format!("IF_{}", name.chars().map(letter).collect::<String>())
}

/// Deleted first: `route add` refuses what is there already.
fn command(text: &mut String, variable: &str, route: &Route) {
    let metric = route.metric;
    let _ = match route.gateway {
        Some(IpAddr::V4(gateway)) => writeln!(
            text,
            "route delete 0.0.0.0 mask 0.0.0.0 {gateway} if %{variable}% >nul 2>&1\n\
             route add -p 0.0.0.0 mask 0.0.0.0 {gateway} metric {metric} if %{variable}%"
        ),
        Some(IpAddr::V6(gateway)) => writeln!(
            text,
            "netsh interface ipv6 delete route ::/0 interface=%{variable}% nexthop={gateway} >nul 2>&1\n\
             netsh interface ipv6 add route ::/0 interface=%{variable}% nexthop={gateway} metric={metric} store=persistent"
        ),
        None => Ok(()),
    };
}

/// Rules, unless they are what Windows does by itself.
fn left_out(intent: &Intent<'_>) -> Vec<String> {
    let by_itself = |rule: &crate::eni::Rule| {
        let alone = crate::eni::Rule {
            source: rule.source,
            ..crate::eni::Rule::new(rule.family, rule.priority, rule.protocol, rule.action)
        };
        *rule == alone
            && rule
                .source
                .is_some_and(|net| net.prefix_len() == net.max_prefix_len())
    };
    let rules = intent
        .rules
        .iter()
        .map(|(rule, _)| rule)
        .filter(|rule| !by_itself(rule));
    let mut said: Vec<_> = rules
        .map(|rule| super::left_out(rule, "Windows has no policy rules"))
        .collect();
    if intent
        .routes
        .iter()
        .any(|(route, _)| route.kind != RouteKind::Unicast)
    {
        said.push(
            "guards are left out: Windows has no unreachable routes; a program that is bound to no address can leave \
             by another interface"
                .to_owned(),
        );
    }
    said
}
