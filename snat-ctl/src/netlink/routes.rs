//! The kernel's routes: all of them read, ours added and deleted.

mod message;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    RouteNetlinkMessage,
    route::{RouteFlags, RouteMessage},
};

pub(crate) use self::message::from_message as to_route;
pub(super) use self::message::{addr, kind};
use self::message::{from_message, to_message};
use super::{Link, NetlinkError, dump::dump_family, family, request::change};
use crate::eni::{Family, Route};

/// `RT_TABLE_LOCAL`: the kernel's own, of the host's addresses.
const LOCAL: u32 = 255;

/// All routes of all tables but `local`, IPv4 then IPv6, of equal ones the one that counts first.
///
/// An interface that is not in `links` goes by `if` and its index.
///
/// # Errors
///
/// [`NetlinkError`] when the kernel's list cannot be had.
pub fn routes(links: &[Link]) -> Result<Vec<Route>, NetlinkError> {
    let mut all = Vec::new();
    for family in Family::ALL {
        all.extend(routes_of(family, links)?);
    }
    Ok(all)
}

/// Adds a route.
///
/// IPv4: it stands before somebody else's to the same destination of the same metric, which stays as it is
/// (`fib_table_insert`), and comes to count again when ours goes.
///
/// IPv6: without `NLM_F_EXCL`, the kernel refuses it when somebody else's of the same destination and metric has
/// the same gateway and interface, and otherwise, where both have a gateway, makes one route with two next hops of
/// them (`fib6_add_rt2node`), under the name of whoever came first. So it goes with that flag: nothing else of that
/// destination and metric may be there, ours included. Metric 0 becomes 1024: don't ask for it.
///
/// # Errors
///
/// [`NetlinkError::InTheWay`] as said; others when the kernel refuses it, it names an interface that is not in
/// `links`, or part of it is [unknown](Route::unknown).
pub fn add_route(route: &Route, links: &[Link]) -> Result<(), NetlinkError> {
    let command = command("add", route)?;
    let message = RouteNetlinkMessage::NewRoute(to_message(route, links, &command)?);
    let flags = match route.family() {
        Family::Inet => NLM_F_CREATE,
        Family::Inet6 => NLM_F_CREATE | NLM_F_EXCL,
    };
    let refusal = match change(message, flags, &command, advice) {
        Err(refusal) if refusal.errno() == Some(libc::EEXIST) => refusal,
        done => return done,
    };
    let in_the_way = routes_of(route.family(), links)?
        .into_iter()
        .find(|other| same_place(route, other));
    Err(match in_the_way {
        Some(other) if route.family() == Family::Inet6 => NetlinkError::InTheWay {
            command,
            other: other.to_string(),
            protocol: other.protocol,
        },
        _ => refusal,
    })
}

/// Deletes a route, and no other.
///
/// To the kernel (`fib_table_delete`, `ip6_route_del`) a gateway, source or IPv4 metric 0 that is not given fits
/// every route, and it deletes the first that fits; `onlink` it does not look at. So one of the same owner that
/// stands before it goes with it and comes back at once. An IPv6 gateway fits one only, also where somebody else
/// made ours a next hop among theirs.
///
/// # Errors
///
/// [`NetlinkError`] when the kernel refuses it; [`NetlinkError::is_gone`] when there is no such route.
pub fn delete_route(route: &Route, links: &[Link]) -> Result<(), NetlinkError> {
    let command = command("delete", route)?;
    let delete = || {
        let message = RouteNetlinkMessage::DelRoute(to_message(route, links, &command)?);
        change(message, 0, &command, advice)
    };
    if route.family() == Family::Inet6 && route.gateway.is_some() {
        return delete();
    }
    let fitting: Vec<_> = routes_of(route.family(), links)?
        .into_iter()
        .filter(|other| fits(route, other))
        .collect();
    // Where it is not there, nothing that merely fits may go in its place.
    let Some(ahead) = fitting.iter().position(|other| other == route) else {
        return Err(NetlinkError::gone(command, libc::ESRCH));
    };
    for _ in 0..=ahead {
        delete()?;
    }
    // Each is put before those of its metric: the first comes last.
    fitting[..ahead]
        .iter()
        .rev()
        .try_for_each(|other| add_route(other, links))
}

fn routes_of(family: Family, links: &[Link]) -> Result<Vec<Route>, NetlinkError> {
    let mut request = RouteMessage::default();
    request.header.address_family = family::number(family);
    let answer = dump_family("routes", &RouteNetlinkMessage::GetRoute(request))?;
    Ok(answer
        .into_iter()
        .filter_map(|message| match message {
            RouteNetlinkMessage::NewRoute(route)
                if !route.header.flags.contains(RouteFlags::Cloned) =>
            {
                from_message(route, links)
            }
            _ => None,
        })
        // Asked for a family that it lacks, the kernel lists every other (`rtnl_dump_all`).
        .filter(|route| route.family() == family && route.table != LOCAL)
        .collect())
}

fn same_place(asked: &Route, other: &Route) -> bool {
    asked.table == other.table
        && asked.destination == other.destination
        && asked.metric == other.metric
}

/// Whether the kernel takes `other` for what is asked for.
fn fits(asked: &Route, other: &Route) -> bool {
    let metric = asked.metric == 0 || asked.metric == other.metric;
    asked.table == other.table
        && asked.destination == other.destination
        && metric
        && asked.protocol == other.protocol
        && asked.scope == other.scope
        && asked.kind == other.kind
        && asked.dev == other.dev
        && (asked.gateway.is_none() || asked.gateway == other.gateway)
        && (asked.source.is_none() || asked.source == other.source)
}

fn command(verb: &str, route: &Route) -> Result<String, NetlinkError> {
    let command = route.command(verb);
    if route.unknown.is_empty() {
        Ok(command)
    } else {
        Err(NetlinkError::Foreign { command })
    }
}

const fn advice(errno: i32) -> &'static str {
    match errno {
        libc::EPERM => "; it takes CAP_NET_ADMIN: run as root",
        libc::ENETDOWN => "; set the interface up",
        libc::ENETUNREACH | libc::EHOSTUNREACH => {
            "; the gateway is in no prefix of the interface, or that is down: correct it, set it up, or say `onlink`"
        }
        libc::EEXIST => "; the very same is there already",
        _ => "",
    }
}
