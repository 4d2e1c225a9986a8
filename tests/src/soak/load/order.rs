//! What a transfer is to carry, as its first bytes say it: both sides make the same bytes out of it and compare.

use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;

use super::{Load, patient::Patient};

/// Rounds in each of which the client sends `up` bytes and then the server `down` bytes; none of one kind makes it a
/// bulk transfer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) number: u64,
    pub(super) rounds: u32,
    pub(super) up: u32,
    pub(super) down: u32,
    /// Between two rounds, in microseconds.
    pub(super) pause: u32,
}

const LEN: usize = 24;
/// Nothing larger is ordered; what says so is damaged.
pub(super) const MOST: u32 = 1 << 16;

impl Order {
    /// All that it carries.
    pub(super) fn bytes(&self) -> u64 {
        u64::from(self.rounds) * u64::from(self.up + self.down)
    }

    /// The client's side. The server closes last, so all has arrived.
    pub(super) fn give(&self, load: &Load, stream: &mut Patient) -> Result<()> {
        stream.write_all(&self.header()).context("ordering")?;
        let mut sent = Bytes::new(self.number, self.up);
        let mut due = Bytes::new(!self.number, self.down);
        for round in 0..self.rounds {
            stream
                .write_all(sent.next())
                .with_context(|| format!("sending in round {round} of {self:?}"))?;
            due.arrive(stream)
                .with_context(|| format!("receiving in round {round} of {self:?}"))?;
            load.pause(Duration::from_micros(self.pause.into()));
        }
        stream.stream().shutdown(Shutdown::Write)?;
        let mut receipt = [0; 8];
        stream
            .read_exact(&mut receipt)
            .with_context(|| format!("no receipt of {self:?}"))?;
        ensure!(
            receipt == self.number.to_be_bytes(),
            "the receipt of {self:?} is damaged"
        );
        expect_end(stream)
    }

    /// The server's side.
    pub(super) fn take(load: &Load, stream: &mut Patient) -> Result<()> {
        let mut header = [0; LEN];
        stream.read_exact(&mut header).context("no order")?;
        let order = Self::read(header)?;
        let mut due = Bytes::new(order.number, order.up);
        let mut sent = Bytes::new(!order.number, order.down);
        for round in 0..order.rounds {
            due.arrive(stream)
                .with_context(|| format!("receiving in round {round} of {order:?}"))?;
            stream
                .write_all(sent.next())
                .with_context(|| format!("sending in round {round} of {order:?}"))?;
            if order.up == 0 {
                load.pause(Duration::from_micros(order.pause.into()));
            }
        }
        expect_end(stream)?;
        stream
            .write_all(&order.number.to_be_bytes())
            .context("sending the receipt")
    }

    fn header(&self) -> [u8; LEN] {
        let mut header = [0; LEN];
        header[..8].copy_from_slice(&self.number.to_be_bytes());
        let fields = [self.rounds, self.up, self.down, self.pause];
        for (to, field) in header[8..].chunks_exact_mut(4).zip(fields) {
            to.copy_from_slice(&field.to_be_bytes());
        }
        header
    }

    fn read(header: [u8; LEN]) -> Result<Self> {
        let field = |at: usize| {
            u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let order = Self {
            number: u64::from(field(0)) << 32 | u64::from(field(4)),
            rounds: field(8),
            up: field(12),
            down: field(16),
            pause: field(20),
        };
        ensure!(
            order.up <= MOST && order.down <= MOST,
            "a damaged order: {order:?}"
        );
        Ok(order)
    }
}

fn expect_end(stream: &mut Patient) -> Result<()> {
    let more = stream.read(&mut [0; 1]).context("waiting for the end")?;
    ensure!(more == 0, "more bytes than were ordered");
    Ok(())
}

/// One direction's bytes, made on the fly.
struct Bytes {
    rng: Rng,
    now: Vec<u8>,
    came: Vec<u8>,
}

impl Bytes {
    fn new(seed: u64, len: u32) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            now: vec![0; len as usize],
            came: vec![0; len as usize],
        }
    }

    fn next(&mut self) -> &[u8] {
        self.rng.fill(&mut self.now);
        &self.now
    }

    /// Receives the next ones and compares.
    fn arrive(&mut self, stream: &mut Patient) -> Result<()> {
        self.next();
        stream.read_exact(&mut self.came)?;
        ensure!(self.came == self.now, "the bytes are damaged");
        Ok(())
    }
}
