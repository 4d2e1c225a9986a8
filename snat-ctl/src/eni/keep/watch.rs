//! Hears that something changed, and who deleted what is ours.

use std::{
    collections::{BTreeSet, HashMap},
    fs, io, mem,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_REPLACE, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{RouteNetlinkMessage, link::LinkFlags, route::RouteMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use tokio::sync::Notify;

use crate::{
    eni::{Object, PROTOCOL, Route},
    netlink::{self, Link},
};

/// Changes come in crowds: one look serves those that come within this time.
const SETTLE: Duration = Duration::from_millis(20);
/// `RTMGRP_*` of `rtnetlink.h`: LINK, IPV4_IFADDR, IPV4_ROUTE, IPV4_RULE, IPV6_IFADDR, IPV6_ROUTE, and
/// `RTNLGRP_IPV6_RULE` as a bit.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x80 | 0x100 | 0x400 | 1 << 18;
/// Deletions that are remembered between two looks.
const REMEMBERED: usize = 4096;

/// Table, destination and metric: what a route stands in for another by.
type Place = (u32, IpNet, u32);

/// The kernel's notifications, from a thread that lives as long as this does.
#[derive(Debug)]
pub(super) struct Events {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    heard: Mutex<Heard>,
    wake: Notify,
}

/// What was heard since the last look.
#[derive(Debug, Default)]
pub(super) struct Heard {
    first: Option<Instant>,
    /// Notifications were lost: anything may have changed.
    lost: bool,
    /// Interfaces that went, or went down, by index; they may be back by now.
    away: BTreeSet<u32>,
    deleted: HashMap<Object, String>,
    replaced: HashMap<Place, String>,
    /// Processes by their netlink ports.
    who: HashMap<u32, String>,
    /// Names of interfaces, asked for once in a crowd of changes.
    links: Option<Vec<Link>>,
}

impl Events {
    /// Begins to listen in the thread's network namespace.
    ///
    /// # Errors
    ///
    /// The failing call on the netlink socket.
    pub(super) fn listen() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, GROUPS))?;
        let shared = Arc::<Shared>::default();
        let events = Self {
            shared: Arc::clone(&shared),
        };
        thread::spawn(move || gather(&socket, &shared));
        Ok(events)
    }

    /// Waits until something has changed.
    pub(super) async fn next(&self) -> Heard {
        self.shared.wake.notified().await;
        let mut heard = lock(&self.shared.heard);
        mem::take(&mut *heard)
    }
}

impl Heard {
    /// When the first of it came.
    #[must_use]
    pub(super) const fn since(&self) -> Option<Instant> {
        self.first
    }

    /// Whether notifications were lost.
    #[must_use]
    pub(super) const fn lost(&self) -> bool {
        self.lost
    }

    /// Whether an interface may have been away since the last look, and its addresses with it.
    #[must_use]
    pub(super) fn was_away(&self, index: u32) -> bool {
        self.lost || self.away.contains(&index)
    }

    /// Blames nobody for what we deleted ourselves.
    pub(super) fn forgive(&mut self, ours: &[Object]) {
        self.deleted.retain(|object, _| !ours.contains(object));
    }

    /// Which process deleted or replaced it, as far as the kernel said. What goes with a link is nobody's doing.
    #[must_use]
    pub(super) fn who_deleted(&self, object: &Object) -> Option<String> {
        self.deleted.get(object).cloned().or_else(|| match object {
            Object::Route(route) => self.replaced.get(&place(route)).cloned(),
            Object::Rule(_) => None,
        })
    }

    fn note(&mut self, datagram: &[u8]) {
        self.first.get_or_insert_with(Instant::now);
        let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(datagram) else {
            return;
        };
        let NetlinkMessage {
            header, payload, ..
        } = message;
        if let NetlinkPayload::InnerMessage(message) = &payload {
            self.away.extend(gone(message));
        }
        if self.deleted.len() + self.replaced.len() < REMEMBERED
            && let NetlinkPayload::InnerMessage(message) = payload
        {
            self.blame(&header, message);
        }
    }

    fn blame(&mut self, header: &NetlinkHeader, message: RouteNetlinkMessage) {
        let port = header.port_number;
        // The kernel's own: it took a link, or an address.
        if port == 0 {
            return;
        }
        // Now: a command ends soon.
        let who = self.who.entry(port).or_insert_with(|| process(port));
        let who = who.clone();
        match message {
            RouteNetlinkMessage::DelRule(rule) => {
                if let Some(rule) = netlink::to_rule(rule).filter(|rule| rule.protocol == PROTOCOL)
                {
                    self.deleted.insert(Object::Rule(rule), who);
                }
            }
            RouteNetlinkMessage::DelRoute(route) if u8::from(route.header.protocol) == PROTOCOL => {
                if let Some(route) = self.route_of(route) {
                    self.deleted.insert(Object::Route(route), who);
                }
            }
            RouteNetlinkMessage::NewRoute(route)
                if header.flags & NLM_F_REPLACE != 0
                    && u8::from(route.header.protocol) != PROTOCOL =>
            {
                if let Some(route) = self.route_of(route) {
                    let who = format!("{who}, by a route of protocol {}", route.protocol);
                    self.replaced.insert(place(&route), who);
                }
            }
            _ => {}
        }
    }

    fn route_of(&mut self, message: RouteMessage) -> Option<Route> {
        if self.links.is_none() {
            self.links = netlink::links().ok();
        }
        netlink::to_route(message, self.links.as_deref()?)
    }
}

fn gather(socket: &Socket, shared: &Arc<Shared>) {
    loop {
        let received = socket.recv_from_full();
        // Nobody listens any more.
        if Arc::strong_count(shared) == 1 {
            return;
        }
        take(&received, shared);
        thread::sleep(SETTLE);
        let _ = socket.set_non_blocking(true);
        // Not to the end of it: a routing daemon may fill it as fast as it is read.
        let end = Instant::now() + SETTLE;
        while Instant::now() < end {
            match socket.recv_from_full() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                received => take(&received, shared),
            }
        }
        let _ = socket.set_non_blocking(false);
        shared.wake.notify_one();
    }
}

fn take(received: &io::Result<(Vec<u8>, SocketAddr)>, shared: &Shared) {
    let mut heard = lock(&shared.heard);
    match received {
        Ok((datagram, _)) => heard.note(datagram),
        // ENOBUFS: the queue ran over.
        Err(_) => {
            heard.lost = true;
            heard.first.get_or_insert_with(Instant::now);
        }
    }
}

/// The interface that the message says is gone or down.
fn gone(message: &RouteNetlinkMessage) -> Option<u32> {
    match message {
        RouteNetlinkMessage::DelLink(link) => Some(link.header.index),
        RouteNetlinkMessage::NewLink(link) if !link.header.flags.contains(LinkFlags::Running) => {
            Some(link.header.index)
        }
        _ => None,
    }
}

fn place(route: &Route) -> Place {
    (route.table, route.destination, route.metric)
}

/// A netlink port is the process's id, for the first socket of a process; others have a number that is no id
/// (`netlink_autobind`).
fn process(port: u32) -> String {
    if i32::try_from(port).is_err() {
        return "a process that the kernel does not name".to_owned();
    }
    match fs::read_to_string(format!("/proc/{port}/comm")) {
        Ok(name) => format!("process {port} ({})", name.trim()),
        Err(_) => format!("process {port}, which has ended"),
    }
}

fn lock(heard: &Mutex<Heard>) -> std::sync::MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
impl Heard {
    /// One deletion.
    pub(super) fn of(object: Object, who: &str) -> Self {
        Self {
            deleted: HashMap::from([(object, who.to_owned())]),
            ..Self::default()
        }
    }
}
