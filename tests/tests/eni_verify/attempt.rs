//! A connection that a rule may let through or not, as its socket sees it.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Result, ensure};
use snat_tests::{netns::Netns, topology::enis::SERVER, traffic::SSH};
use socket2::{Domain, Socket, Type};

/// For an answer that must come, be it an ICMP error.
const PATIENCE: Duration = Duration::from_secs(5);
/// For one that must not.
const SILENCE: Duration = Duration::from_millis(700);

/// A TCP connection.
#[derive(Clone, Copy)]
pub(crate) struct Attempt {
    pub(crate) from: Option<IpAddr>,
    pub(crate) source_port: u16,
    pub(crate) to: IpAddr,
    pub(crate) mark: u32,
}

/// To the Internet host, by whatever address and port.
pub(crate) const PLAIN: Attempt = Attempt {
    from: None,
    source_port: 0,
    to: IpAddr::V4(SERVER),
    mark: 0,
};

impl Attempt {
    /// Fails unless the connection comes about, or ends as `refusal` says: an `errno`, or `ETIMEDOUT` for silence.
    pub(crate) fn expect(self, netns: &Netns, refusal: Option<i32>) -> Result<()> {
        let silence = refusal == Some(libc::ETIMEDOUT);
        let patience = if silence { SILENCE } else { PATIENCE };
        let ended = netns.enter(|| Ok(self.connect(patience).err()))?;
        let errno = ended.as_ref().map(|error| match error.kind() {
            io::ErrorKind::TimedOut => libc::ETIMEDOUT,
            _ => error.raw_os_error().unwrap_or_default(),
        });
        ensure!(
            errno == refusal,
            "from {:?} to {} with mark {}: {ended:?} instead of {:?}",
            self.from,
            self.to,
            self.mark,
            refusal.map(io::Error::from_raw_os_error)
        );
        Ok(())
    }

    fn connect(self, patience: Duration) -> io::Result<()> {
        let to = SocketAddr::new(self.to, SSH);
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        if self.mark != 0 {
            socket.set_mark(self.mark)?;
        }
        let any = match self.to {
            IpAddr::V4(_) => IpAddr::from([0; 4]),
            IpAddr::V6(_) => IpAddr::from([0; 16]),
        };
        socket.bind(&SocketAddr::new(self.from.unwrap_or(any), self.source_port).into())?;
        socket.connect_timeout(&to.into(), patience)
    }
}
