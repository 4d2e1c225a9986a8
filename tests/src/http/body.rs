//! Bodies of any size made on the fly, the same for the same size.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use sha2::{Digest as _, Sha256};

const CHUNK: usize = 64 << 10;

/// Pseudo-random bytes, seeded by their number.
pub(super) struct Stream {
    left: u64,
    random: fastrand::Rng,
}

impl Stream {
    pub(super) fn new(len: u64) -> Self {
        Self {
            left: len,
            random: fastrand::Rng::with_seed(len),
        }
    }
}

impl Iterator for Stream {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let len = CHUNK.min(usize::try_from(self.left).unwrap_or(CHUNK));
        if len == 0 {
            return None;
        }
        let mut chunk = vec![0; len];
        self.random.fill(&mut chunk);
        self.left -= len as u64;
        Some(chunk.into())
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.next().map(|chunk| Ok(Frame::data(chunk))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// The SHA-256 of the `len` bytes that `/bytes/<len>` serves, in hexadecimal.
#[must_use]
pub fn sha256(len: u64) -> String {
    let mut hash = Sha256::new();
    Stream::new(len).for_each(|chunk| hash.update(chunk));
    hex(hash)
}

pub(super) fn hex(hash: Sha256) -> String {
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
