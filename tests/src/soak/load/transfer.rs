//! TCP transfers, each from a new endpoint.

use std::{net::SocketAddrV4, time::Instant};

use anyhow::{Context as _, Result};
use fastrand::Rng;
use socket2::{Domain, Socket, Type};

use super::{
    Job,
    order::{MOST, Order},
    patient::Patient,
    server::PORT,
};

use std::time::Duration;

/// SYNs are repeated after 1, 3, 7 and 15 seconds.
const CONNECT: Duration = Duration::from_secs(20);

/// Lasts some seconds up to a minute: through several disturbances.
pub(super) fn long(job: &Job<'_>, rng: &mut Rng) -> Result<()> {
    let rounds = rng.u32(150..1500);
    let (up, down) = sizes(rng, 8 << 10);
    let pause = rng.u32(20_000..40_000);
    carry(job, |number| Order {
        number,
        rounds,
        up,
        down,
        pause,
    })
}

/// A few bytes up to some hundred kilobytes, as fast as it goes.
pub(super) fn short(job: &Job<'_>, rng: &mut Rng) -> Result<()> {
    let rounds = rng.u32(1..6);
    let (up, down) = sizes(rng, MOST);
    carry(job, |number| Order {
        number,
        rounds,
        up,
        down,
        pause: 0,
    })
}

/// Upload, download, or a conversation.
fn sizes(rng: &mut Rng, most: u32) -> (u32, u32) {
    let (up, down) = (rng.u32(1..=most), rng.u32(1..=most));
    match rng.u8(..3) {
        0 => (up, 0),
        1 => (0, down),
        _ => (up, down),
    }
}

fn carry(job: &Job<'_>, order: impl FnOnce(u64) -> Order) -> Result<()> {
    let order = order(job.load.number());
    let from = job.from;
    let Some(mut stream) = connect(job).with_context(|| format!("connecting from {from}"))? else {
        return Ok(());
    };
    let local = stream.stream().local_addr()?;
    order
        .give(job.load, &mut stream)
        .with_context(|| format!("the TCP transfer from {local}"))?;
    job.load.count(|carried| {
        carried.transfers += 1;
        carried.bytes += order.bytes();
    });
    Ok(())
}

/// None where a link was disturbed meanwhile: that may keep a connection from being made, never break one.
fn connect(job: &Job<'_>) -> Result<Option<Patient>> {
    let begin = Instant::now();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddrV4::new(job.from, 0).into())?;
    let to = SocketAddrV4::new(job.server, PORT);
    match socket.connect_timeout(&to.into(), CONNECT) {
        Ok(()) => Ok(Some(Patient::new(socket.into())?)),
        Err(_) if job.load.weather.was_rough_since(begin) => {
            job.load.count(|carried| carried.excused += 1);
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
