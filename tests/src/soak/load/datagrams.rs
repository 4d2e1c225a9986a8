//! UDP and ping: none is lost, except while a link is disturbed.

use std::{
    io,
    net::UdpSocket,
    ops::Range,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use socket2::{Domain, Protocol, Socket, Type};

use super::{Job, echo};

const PATIENCE: Duration = Duration::from_secs(3);
/// What a packet of 1500 bytes takes.
const WHOLE: usize = 1472;
const FRAGMENTED: usize = 9000;
const ECHO_REQUEST: u8 = 8;
const HEADER: usize = 8;

/// Some datagrams there and back, one after the other, each whole.
pub(super) fn whole(job: &Job<'_>, rng: &mut Rng) -> Result<()> {
    udp(job, rng, 8..WHOLE + 1)
}

/// As [`whole`], each in two to seven fragments.
pub(super) fn in_fragments(job: &Job<'_>, rng: &mut Rng) -> Result<()> {
    udp(job, rng, WHOLE + 1..FRAGMENTED)
}

/// Some pings under an identifier that the kernel chooses.
pub(super) fn ping(job: &Job<'_>, rng: &mut Rng) -> Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::ICMPV4))?;
    socket.bind(&std::net::SocketAddr::new(job.from.into(), 0).into())?;
    let socket = UdpSocket::from(socket);
    socket.connect((job.server, 0))?;
    series(job, rng, |rng| {
        let mut request = random(rng, HEADER + 8..WHOLE);
        request[..HEADER].copy_from_slice(&[ECHO_REQUEST, 0, 0, 0, 0, 0, 0, 1]);
        // The kernel writes the checksum and the identifier, and the answer's type is another.
        exchange(&socket, &request, HEADER)?;
        job.load.count(|carried| carried.pings += 1);
        Ok(())
    })
}

fn udp(job: &Job<'_>, rng: &mut Rng, sizes: Range<usize>) -> Result<()> {
    let socket = UdpSocket::bind((job.from, 0))?;
    socket.connect((job.server, echo::PORT))?;
    series(job, rng, |rng| {
        let datagram = random(rng, sizes.clone());
        exchange(&socket, &datagram, 0)?;
        job.load.count(|carried| {
            carried.datagrams += 1;
            carried.fragmented += u64::from(datagram.len() > WHOLE);
        });
        Ok(())
    })
}

/// Up to twenty; given up at the first that is lost, if that is excused.
fn series(
    job: &Job<'_>,
    rng: &mut Rng,
    mut once: impl FnMut(&mut Rng) -> Result<()>,
) -> Result<()> {
    for number in 0..rng.u32(1..20) {
        let begin = Instant::now();
        match once(rng) {
            // Lost, that is, not damaged.
            Err(error) if error.is::<io::Error>() && job.load.weather.was_rough_since(begin) => {
                job.load.count(|carried| carried.excused += 1);
                return Ok(());
            }
            result => result.with_context(|| format!("datagram {number} from {}", job.from))?,
        }
        if job.load.is_stopped() {
            return Ok(());
        }
        job.load.pause(Duration::from_millis(rng.u64(..20)));
    }
    Ok(())
}

/// Sends it; it must come back, the first `but` bytes of it excepted.
fn exchange(socket: &UdpSocket, datagram: &[u8], but: usize) -> Result<()> {
    socket.set_read_timeout(Some(PATIENCE))?;
    let len = datagram.len();
    socket
        .send(datagram)
        .with_context(|| format!("sending {len} bytes"))?;
    let mut came = vec![0; len + 1];
    let size = socket
        .recv(&mut came)
        .with_context(|| format!("no answer to {len} bytes"))?;
    ensure!(
        size == len && came[but..len] == datagram[but..],
        "{len} bytes came back damaged ({size} bytes)"
    );
    Ok(())
}

fn random(rng: &mut Rng, sizes: Range<usize>) -> Vec<u8> {
    let mut bytes = vec![0; rng.usize(sizes)];
    rng.fill(&mut bytes);
    bytes
}
