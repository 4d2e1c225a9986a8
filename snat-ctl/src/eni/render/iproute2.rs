//! A shell script of `ip` commands.

use std::fmt::Write as _;

use super::{File, Intent, Rendered, one_line};
use crate::eni::{MAIN, PROTOCOL, Route};

const HEAD: &str = r#"#!/bin/sh
# Policy routes of network interfaces (ENIs), written by `snat-ctl eni render --format iproute2`.
#
#   sh snat-eni.sh           makes what is missing, any number of times
#   sh snat-eni.sh remove    removes what is listed here and nothing else: before a newer version of this file
#
# At boot it must run as root, after the interfaces have their addresses: from rc.local, or from a systemd unit with
# Type=oneshot, Wants=network-online.target and After=network-online.target. When a link goes down or an address goes,
# the kernel drops routes and does not bring them back: run it again then. (`snat-ctl run` does that by itself.)
"#;

// What `ip` says when the kernel answers EEXIST, ENOENT and ESRCH is the C library's text in English: it sets no
// locale. With a priority given the kernel takes no rule twice, so none need be deleted first and missed meanwhile.
const FUNCTIONS: &str = r#"
set -u
action=${1-add}
failed=0

# tolerating TEXT COMMAND...: status 1 if it failed with TEXT, which is not told; 2 if with something else.
tolerating() {
    text=$1
    shift
    said=$("$@" 2>&1) && return 0
    case $said in *"$text"*) return 1 ;; esac
    tell "$*: $said"
    return 2
}

tell() {
    echo "snat-eni.sh: $*" >&2
    failed=1
}

# rule FAMILY WORDS...
rule() {
    family=$1
    shift
    if [ "$action" = add ]; then
        tolerating "File exists" ip "$family" rule add "$@" protocol "$protocol"
    else
        while tolerating "No such file" ip "$family" rule del "$@" protocol "$protocol"; do :; done
    fi
}

# route FAMILY TABLE PREFIX METRIC WORDS...: the first four find what is in its place.
route() {
    family=$1 table=$2 prefix=$3 metric=$4
    shift 4
    if [ "$action" = remove ]; then
        tolerating "No such process" ip "$family" route del "$@" protocol "$protocol"
        return
    fi
    tolerating "File exists" ip "$family" route add "$@" protocol "$protocol"
    [ $? -eq 1 ] || return
    if [ -n "$(ip "$family" route show table "$table" exact "$prefix" metric "$metric" protocol "$protocol")" ]; then
        tolerating "nothing" ip "$family" route replace "$@" protocol "$protocol"
    else
        tell "$*: a route that is not ours has this prefix and metric; remove it or change the configuration"
    fi
}
"#;

const END: &str = r#"
case $action in
add)
    routes
    rules
    ;;
remove)
    rules
    routes
    ;;
*)
    echo "usage: sh snat-eni.sh [add | remove]" >&2
    exit 2
    ;;
esac
exit $failed
"#;

pub(super) fn render(intent: &Intent<'_>) -> Rendered {
    let (routes, rules) = (routes(intent), rules(intent));
    let text = format!("{HEAD}\nprotocol={PROTOCOL}{FUNCTIONS}{routes}{rules}{END}");
    Rendered {
        files: vec![File {
            path: "/usr/local/sbin/snat-eni.sh".to_owned(),
            text,
            mode: 0o755,
        }],
        left_out: Vec::new(),
    }
}

/// Guards first: a table that is not complete yet must not let its packets on to the main table.
fn routes(intent: &Intent<'_>) -> String {
    let mut text = String::from("\nroutes() {\n    :\n");
    let (guards, others): (Vec<_>, Vec<_>) = intent
        .routes
        .iter()
        .partition(|(route, _)| route.dev.is_none());
    let mut table = MAIN;
    for (route, why) in guards.into_iter().chain(others) {
        if let (true, Some(name)) = (route.table != table, intent.tables.get(&route.table)) {
            let _ = writeln!(text, "    # Table {}: {}.", route.table, one_line(name));
        }
        table = route.table;
        let _ = writeln!(text, "    route {}    # {}", words(route), one_line(why));
    }
    text + "}\n"
}

fn words(route: &Route) -> String {
    let Route {
        table,
        destination,
        metric,
        ..
    } = route;
    let family = route.family().option();
    format!("{family} {table} {destination} {metric} {route}")
}

fn rules(intent: &Intent<'_>) -> String {
    let mut rules: Vec<_> = intent.rules.iter().collect();
    rules.sort_by_key(|(rule, _)| (rule.priority, rule.family));
    let mut text = String::from("\nrules() {\n    :\n");
    for (rule, why) in rules {
        let family = rule.family.option();
        let _ = writeln!(text, "    rule {family} {rule}    # {}", one_line(why));
    }
    text + "}\n"
}
