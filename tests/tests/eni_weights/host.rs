//! A host with two ENIs that share its connections, and the server that all of them go to.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    cgroup_root::CgroupRoot,
    eni::{EniCtl, section},
    topology::{
        enis::{ETH0, ETH1, Enis, SERVER, SERVER6},
        unique_prefix,
    },
    udp::UdpEcho,
    whoami::{self, Client, Counts, WhoServer},
};

/// As whom the server sees them: the router refuses an ENI's address by the other one.
pub(crate) const BY_ETH0: IpAddr = IpAddr::V4(ETH0.eip);
pub(crate) const BY_ETH1: IpAddr = IpAddr::V4(ETH1.eip);
pub(crate) const TCP: SocketAddr = SocketAddr::new(IpAddr::V4(SERVER), 7001);
pub(crate) const TCP6: SocketAddr = SocketAddr::new(IpAddr::V6(SERVER6), 7001);
pub(crate) const UDP: SocketAddr = SocketAddr::new(IpAddr::V4(SERVER), 7002);
pub(crate) const UDP6: SocketAddr = SocketAddr::new(IpAddr::V6(SERVER6), 7002);
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) struct Host {
    pub(crate) ctl: EniCtl,
    pub(crate) enis: Enis,
    name: String,
    _servers: (WhoServer, UdpEcho),
    _root: CgroupRoot,
}

impl Host {
    /// With a configuration of these weights of eth0 and eth1, which is not applied yet.
    pub(crate) fn new(weights: [u16; 2]) -> Result<Self> {
        let _root = CgroupRoot::enter()?;
        let prefix = unique_prefix();
        let name = format!("{prefix}eni");
        let enis = Enis::build(&prefix)?;
        enis.refuse_spoofed()?;
        Ok(Self {
            ctl: EniCtl::new(&enis.vm, &name, &config(weights))?,
            _servers: (
                WhoServer::start(&enis.srv, TCP.port())?,
                UdpEcho::start_dual(&enis.srv, UDP.port())?,
            ),
            enis,
            name,
            _root,
        })
    }

    /// As [`Host::new`], and applied.
    pub(crate) fn applied(weights: [u16; 2]) -> Result<Self> {
        let host = Self::new(weights)?;
        host.apply(weights)?;
        Ok(host)
    }

    pub(crate) fn apply(&self, weights: [u16; 2]) -> Result<()> {
        self.ctl.configure(&config(weights))?;
        self.ctl.done("apply").map(drop)
    }

    /// Connections that are closed again.
    pub(crate) fn connections(&self, server: SocketAddr, count: u32) -> Result<Counts> {
        whoami::connections(&self.enis.vm, server, count)
    }

    /// Connections that stay, each with the address that it began as.
    pub(crate) fn clients(&self, count: u32) -> Result<Vec<(IpAddr, Client)>> {
        let open = |_| {
            let mut client = Client::connect(TCP)?;
            Ok((client.ask()?, client))
        };
        self.enis.vm.enter(|| (0..count).map(open).collect())
    }

    /// One datagram each of so many sockets that never connect.
    pub(crate) fn datagrams(&self, server: SocketAddr, count: u32) -> Result<Counts> {
        self.enis.vm.enter(|| {
            let mut counts = Counts::new();
            for _ in 0..count {
                *counts.entry(heard_as(server)?).or_default() += 1;
            }
            Ok(counts)
        })
    }

    /// The weight of each ENI, and how many connections were balanced to it, as `eni status` says.
    pub(crate) fn status(&self) -> Result<Vec<(u64, u64)>> {
        let status = self.ctl.json("status")?;
        let interfaces = status["interfaces"].as_array().context("no interfaces")?;
        let numbers = interfaces.iter().map(|interface| {
            let number = |key: &str| interface[key].as_u64();
            number("weight").zip(number("connections"))
        });
        let numbers: Option<_> = numbers.collect();
        numbers.with_context(|| format!("not every ENI has a weight and a count: {status:#}"))
    }

    /// Where the programs are pinned that share these connections.
    pub(crate) fn pins(&self) -> Result<PathBuf> {
        for entry in fs::read_dir("/run/snat")? {
            let path = entry?.path();
            let is_ours = || fs::read_to_string(&path).is_ok_and(|text| text.contains(&self.name));
            if path.extension().is_some_and(|is| is == "json") && is_ours() {
                let name = path.file_stem().context("a file without a name")?;
                return Ok(PathBuf::from("/sys/fs/bpf/snat").join(name));
            }
        }
        anyhow::bail!("nothing is applied")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Err(error) = self.ctl.done("remove") {
            eprintln!("leaving policy routes behind: {error:#}");
        }
    }
}

fn config(weights: [u16; 2]) -> String {
    let [eth0, eth1] = weights.map(|weight| format!("weight = {weight}"));
    section(&ETH0, &eth0) + &section(&ETH1, &eth1)
}

fn heard_as(server: SocketAddr) -> Result<IpAddr> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send_to(b"?", server)?;
    let mut answer = [0; 100];
    let (len, from) = socket.recv_from(&mut answer).context("no answer")?;
    ensure!(from == server, "{from} answered");
    let text = std::str::from_utf8(&answer[..len])?;
    let (peer, _) = text.split_once(' ').context("no address")?;
    Ok(peer.parse::<SocketAddr>()?.ip())
}
