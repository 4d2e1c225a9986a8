//! coturn as a STUN server with two addresses and two ports, as RFC 5780 and RFC 3489 want it.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddrV4},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::binding;
use crate::{netns::Netns, program, wait};

/// The primary port.
pub const PORT: u16 = 3478;
/// The alternate one.
pub const OTHER_PORT: u16 = 3479;

const READY: Duration = Duration::from_secs(20);

/// A server; dropping it ends it.
pub struct StunServer {
    child: Child,
    _files: TempDir,
}

impl StunServer {
    /// Starts one on two addresses of the namespace and waits until all four endpoints answer.
    pub fn start(netns: &Netns, addresses: [Ipv4Addr; 2]) -> Result<Self> {
        let program = program::find("turnserver")?;
        let files = TempDir::new()?;
        let log = files.path().join("log");
        let mut command = netns.command(&program);
        command
            .args(["-n", "--stun-only", "--no-tls", "--no-dtls", "--no-tcp"])
            .args(["--log-file", "stdout", "--simple-log"])
            .arg("--pidfile")
            .arg(files.path().join("pid"))
            .arg("--userdb")
            .arg(files.path().join("users"))
            .args(since_renamed(&program)?);
        for address in addresses {
            command.args(["--listening-ip", &address.to_string()]);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let server = Self {
            child,
            _files: files,
        };
        wait::until(READY, "coturn answers", || {
            netns.enter(|| {
                let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
                binding::request(any, &endpoints(addresses)).map(drop)
            })
        })
        .with_context(|| {
            format!(
                "coturn said:\n{}",
                fs::read_to_string(&log).unwrap_or_default()
            )
        })?;
        Ok(server)
    }
}

impl Drop for StunServer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Where such a server answers: both ports of both addresses, primary first.
#[must_use]
pub fn endpoints(addresses: [Ipv4Addr; 2]) -> [SocketAddrV4; 4] {
    let [first, second] = addresses;
    [
        SocketAddrV4::new(first, PORT),
        SocketAddrV4::new(first, OTHER_PORT),
        SocketAddrV4::new(second, PORT),
        SocketAddrV4::new(second, OTHER_PORT),
    ]
}

/// coturn 4.7 turned its defaults round: what used to be on now has to be asked for, and the other way.
fn since_renamed(program: &std::path::Path) -> Result<Vec<&'static str>> {
    let help = Command::new(program)
        .arg("--help")
        .output()
        .with_context(|| format!("starting {}", program.display()))?;
    let help = String::from_utf8_lossy(&help.stdout);
    let known = |option: &&str| help.split_whitespace().any(|word| word == *option);
    Ok(["--rfc5780", "--stun-backward-compatibility", "--no-cli"]
        .into_iter()
        .filter(known)
        .collect())
}
