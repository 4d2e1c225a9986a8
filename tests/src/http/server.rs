//! The server: one thread in its namespace, any number of connections.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::mpsc,
};

use anyhow::{Context as _, Result, anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::{Request, Response, StatusCode, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::LocalSet,
};

use super::body::{Stream, hex};
use crate::netns::Netns;

type Answer = Response<Either<Full<Bytes>, Stream>>;

/// A running server; its connections end with it.
#[derive(Debug)]
pub struct HttpServer {
    _stop: oneshot::Sender<Infallible>,
}

impl HttpServer {
    /// Listens on `port` of all addresses in the namespace.
    pub fn start(netns: &Netns, port: u16) -> Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = mpsc::channel();
        netns.spawn_thread(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            LocalSet::new().block_on(&runtime, async {
                let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await;
                let bound = listener
                    .as_ref()
                    .map(drop)
                    .map_err(|error| anyhow!("{error}"));
                ready.send(bound).ok();
                tokio::select! {
                    _ = stopped => Ok(()),
                    ended = accept(listener?) => ended,
                }
            })
        });
        started
            .recv()
            .context("server thread ended at once")?
            .with_context(|| format!("listening on TCP port {port} in {}", netns.name()))?;
        Ok(Self { _stop: stop })
    }
}

async fn accept(listener: TcpListener) -> Result<()> {
    loop {
        let (stream, peer) = listener.accept().await.context("accepting a connection")?;
        tokio::task::spawn_local(serve(stream, peer));
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr) {
    let service = service_fn(move |request| answer(request, peer));
    // A client that goes away is its own business; what matters is judged where the answer arrives.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(request: Request<Incoming>, peer: SocketAddr) -> Result<Answer, hyper::Error> {
    let path = request.uri().path().to_owned();
    if let Some(len) = path
        .strip_prefix("/bytes/")
        .and_then(|len| len.parse().ok())
    {
        return Ok(Response::new(Either::Right(Stream::new(len))));
    }
    match path.as_str() {
        "/whoami" => Ok(text(StatusCode::OK, peer.to_string())),
        "/sha256" => {
            let mut body = request.into_body();
            let mut hash = Sha256::new();
            while let Some(frame) = body.frame().await {
                if let Ok(data) = frame?.into_data() {
                    hash.update(data);
                }
            }
            Ok(text(StatusCode::OK, hex(hash)))
        }
        _ => Ok(text(
            StatusCode::NOT_FOUND,
            "try /bytes/N, /whoami or POST /sha256".to_owned(),
        )),
    }
}

fn text(status: StatusCode, body: String) -> Answer {
    let mut response = Response::new(Either::Left(Full::from(body)));
    *response.status_mut() = status;
    response
}
