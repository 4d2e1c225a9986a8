//! A gateway with six flows that differ in everything that can be asked for.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result};
use snat_tests::{
    ping::ping,
    scene::{Plan, Scene},
    segment::{SYN, Segment},
    sender::{Sender, speak_for},
    session::{LineServer, Session},
    traffic::{ECHO, SSH},
    udp::{self, UdpEcho},
};

/// Where nobody answers a SYN.
pub(crate) const SILENT: u16 = 9;
/// The first client's UDP ports: by the first it has sent most.
pub(crate) const BUSY: u16 = 4000;
pub(crate) const CALM: u16 = 4001;
/// Of the second client.
pub(crate) const OTHER: u16 = 4002;
pub(crate) const SYN_PORT: u16 = 4003;
pub(crate) const ECHO_ID: u16 = 77;

pub(crate) const FIRST: Ipv4Addr = Ipv4Addr::new(172, 16, 1, 11);
pub(crate) const EXTERNAL: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 20);
pub(crate) const FAR: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 30);

pub(crate) struct Ground {
    pub(crate) session: Session,
    _servers: (UdpEcho, LineServer),
    pub(crate) scene: Scene,
}

/// Timeouts long enough that no flow ends by itself.
pub(crate) fn plan(datapath: &str) -> Plan<'_> {
    Plan {
        sections: "\n[timeouts]\nudp = \"10m\"\nicmp = \"10m\"\ntcp_opening = \"10m\"\n",
        ..Plan::routed(datapath)
    }
}

impl Ground {
    pub(crate) fn start(datapath: &str) -> Result<Self> {
        let scene = plan(datapath).start()?;
        scene.more_servers(30..31)?;
        let [first, second] = &scene.topology.clients;
        let server = &scene.topology.server.netns;
        let servers = (
            UdpEcho::start(server, ECHO)?,
            LineServer::start(server, SSH)?,
        );
        speak_for(server, SILENT, SILENT)?;
        udp::exchange(&first.netns, at(SERVER, ECHO), BUSY, 9)?;
        udp::exchange(&first.netns, at(SERVER, ECHO), CALM, 2)?;
        // Its second address answers as the first, so no answer gets here.
        second.netns.enter(|| {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, OTHER))?;
            for _ in 0..5 {
                socket.send_to(&[0; 100], at(FAR, ECHO))?;
            }
            Ok(())
        })?;
        ping(&second.netns, SERVER, ECHO_ID, 2)?;
        let syn = Segment::new(at(FIRST, SYN_PORT), at(SERVER, SILENT), SYN);
        Sender::open(&first.netns)?.send(&syn.packet())?;
        let session = Session::open(&second.netns, at(SERVER, SSH))?;
        Ok(Self {
            session,
            _servers: servers,
            scene,
        })
    }

    /// Names of the flows that are listed with these arguments.
    pub(crate) fn listed(&self, arguments: &[&str]) -> Result<Vec<&'static str>> {
        let json = self
            .scene
            .gateway
            .ctl_json(&[&["flows"], arguments].concat())?;
        json.as_array()
            .context("no array")?
            .iter()
            .map(name)
            .collect()
    }

    pub(crate) fn set(&self, arguments: &[&str]) -> Result<BTreeSet<&'static str>> {
        Ok(self.listed(arguments)?.into_iter().collect())
    }
}

/// What this file calls a flow of `--json`.
pub(crate) fn name(flow: &serde_json::Value) -> Result<&'static str> {
    let protocol = flow["protocol"].as_str();
    let port = flow["client_port"].as_u64().context("no port")?;
    Ok(match (protocol, u16::try_from(port)?) {
        (Some("udp"), BUSY) => "busy",
        (Some("udp"), CALM) => "calm",
        (Some("udp"), OTHER) => "other",
        (Some("icmp"), ECHO_ID) => "ping",
        (Some("tcp"), SYN_PORT) => "syn",
        (Some("tcp"), _) => "session",
        _ => anyhow::bail!("nobody sent {flow}"),
    })
}

pub(crate) fn at(addr: Ipv4Addr, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(addr, port)
}

/// A client's socket, connected to the echo server.
pub(crate) fn socket(scene: &Scene, port: u16) -> Result<UdpSocket> {
    scene.topology.clients[0].netns.enter(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
        socket.connect(at(SERVER, ECHO))?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(socket)
    })
}
