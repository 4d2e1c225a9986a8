//! The client: a connection per request, its local port chosen by the caller if that matters.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Empty};
use hyper::{Request, Response, StatusCode, body::Incoming, header};
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use tokio::{
    net::{TcpSocket, TcpStream},
    task::LocalSet,
    time::timeout,
};

use super::body::{Stream, hex};
use crate::netns::Netns;

/// Longer than anything a healthy lab needs, shorter than a person's patience.
const DEADLINE: Duration = Duration::from_secs(60);

/// Requests to one server from one namespace.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    netns: &'a Netns,
    server: SocketAddrV4,
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status code.
    pub status: u16,
    /// SHA-256 of the body, hexadecimal.
    pub sha256: String,
    /// Length of the body.
    pub len: u64,
    /// The first bytes of the body, for those that are text.
    pub text: String,
}

impl<'a> Client<'a> {
    /// A client in `netns` of the server at `addr`:`port`.
    #[must_use]
    pub fn new(netns: &'a Netns, addr: Ipv4Addr, port: u16) -> Self {
        Self {
            netns,
            server: SocketAddrV4::new(addr, port),
        }
    }

    /// Fetches `path`.
    pub fn get(&self, path: &str) -> Result<Reply> {
        self.request(async {
            get(
                self.server,
                connect(self.server, None).await?,
                path.to_owned(),
            )
            .await
        })
    }

    /// Fetches `path` once from each of the given local ports; all connections are open before the
    /// first request is sent.
    pub fn get_from_ports(&self, path: &str, ports: &[u16]) -> Result<Vec<Reply>> {
        self.request(async {
            let server = self.server;
            let streams = all(ports, |&port| connect(server, Some(port))).await?;
            let path = path.to_owned();
            all(streams, move |stream| get(server, stream, path.clone())).await
        })
    }

    /// Sends `len` bytes, those of `/bytes/<len>`, to `/sha256`; the text of the answer is their hash.
    pub fn upload(&self, len: u64) -> Result<Reply> {
        self.request(async {
            let request = Request::post("/sha256").header(header::HOST, self.server.to_string());
            let stream = connect(self.server, None).await?;
            exchange(stream, request.body(Either::Right(Stream::new(len)))?).await
        })
    }

    fn request<T: Send>(&self, future: impl Future<Output = Result<T>> + Send) -> Result<T> {
        self.netns.enter(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let run = async {
                timeout(DEADLINE, future)
                    .await
                    .with_context(|| format!("gave up after {DEADLINE:?}"))?
            };
            LocalSet::new()
                .block_on(&runtime, run)
                .with_context(|| format!("HTTP from {} to {}", self.netns.name(), self.server))
        })
    }
}

/// Runs all at the same time; fails as soon as one of them, in order, has failed.
async fn all<I, T, F>(items: I, task: impl Fn(I::Item) -> F) -> Result<Vec<T>>
where
    I: IntoIterator,
    T: 'static,
    F: Future<Output = Result<T>> + 'static,
{
    let tasks: Vec<_> = items
        .into_iter()
        .map(|item| tokio::task::spawn_local(task(item)))
        .collect();
    let count = tasks.len();
    let mut results = Vec::with_capacity(count);
    for task in tasks {
        let number = results.len() + 1;
        results.push(
            task.await?
                .with_context(|| format!("connection {number} of {count}"))?,
        );
    }
    Ok(results)
}

async fn connect(server: SocketAddrV4, local_port: Option<u16>) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(port) = local_port {
        socket.set_reuseaddr(true)?;
        let local = (Ipv4Addr::UNSPECIFIED, port).into();
        socket
            .bind(local)
            .with_context(|| format!("binding local port {port}"))?;
    }
    socket
        .connect(SocketAddr::V4(server))
        .await
        .context("connecting")
}

async fn get(server: SocketAddrV4, stream: TcpStream, path: String) -> Result<Reply> {
    let request = Request::get(path).header(header::HOST, server.to_string());
    exchange(stream, request.body(Either::Left(Empty::new()))?).await
}

async fn exchange(
    stream: TcpStream,
    request: Request<Either<Empty<Bytes>, Stream>>,
) -> Result<Reply> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(connection);
    read(
        sender
            .send_request(request)
            .await
            .context("waiting for the answer")?,
    )
    .await
}

async fn read(response: Response<Incoming>) -> Result<Reply> {
    let status = response.status();
    ensure!(status == StatusCode::OK, "the server answered {status}");
    let mut body = response.into_body();
    let (mut hash, mut len, mut text) = (Sha256::new(), 0, Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame
            .with_context(|| format!("body broke off after {len} bytes"))?
            .into_data()
        else {
            continue;
        };
        hash.update(&data);
        text.extend(data.iter().take(128_usize.saturating_sub(text.len())));
        len += data.len() as u64;
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(Reply {
        status: status.as_u16(),
        sha256: hex(hash),
        len,
        text,
    })
}
