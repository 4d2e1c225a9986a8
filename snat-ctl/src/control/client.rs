//! The command's side of the socket.

use std::{
    io::{self, Read as _, Write as _},
    net::Shutdown,
    os::unix::net::UnixStream,
    time::Duration,
};

use anyhow::{Context as _, bail};

use super::{Answer, Request};
use crate::instance::{self, SOCKET};

/// Longest wait for an answer: programs may have to be loaded, and others may come first.
const PATIENCE: Duration = Duration::from_secs(120);

/// Asks the daemon of an instance; `None` where no daemon listens.
///
/// # Errors
///
/// When the socket can't be used, or the daemon ends without an answer: then it is not known what it did.
pub fn ask(name: &str, request: &Request) -> anyhow::Result<Option<Answer>> {
    let path = instance::file(name, SOCKET);
    let mut stream = match UnixStream::connect(&path) {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) => {
            return Err(error).with_context(|| {
                format!("cannot ask the daemon at {}; run as root", path.display())
            });
        }
    };
    let mut text = Vec::new();
    stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.write_all(&serde_json::to_vec(request)?))
        .and_then(|()| stream.shutdown(Shutdown::Write))
        .and_then(|()| stream.read_to_end(&mut text))
        .context("cannot talk to the daemon; `snat-ctl status` shows how it is")?;
    if text.is_empty() {
        bail!(
            "the daemon ended without an answer; `snat-ctl status` shows what is at work, and applying again is safe"
        );
    }
    serde_json::from_slice(&text)
        .map(Some)
        .context("cannot understand the daemon's answer: it is of another version; restart it, no flow is lost by that")
}
