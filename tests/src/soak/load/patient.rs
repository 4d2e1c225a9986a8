//! A stream that stands still is waited for, but not for ever.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

/// Looks, each a second long. Counted, for a machine that was stopped in between has not waited.
const LOOKS: u32 = 40;
const LOOK: Duration = Duration::from_secs(1);

/// One side of a connection; fails with `WouldBlock` when nothing has moved for [`LOOKS`].
pub(super) struct Patient(TcpStream);

impl Patient {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LOOK))?;
        stream.set_write_timeout(Some(LOOK))?;
        Ok(Self(stream))
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.0
    }
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        patiently(|| self.0.read(buffer))
    }
}

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        patiently(|| self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn patiently(mut attempt: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    for _ in 1..LOOKS {
        match attempt() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
    attempt()
}
