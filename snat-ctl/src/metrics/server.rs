//! HTTP: `/metrics` for Prometheus, `/healthz` for who restarts what is ill.
//!
//! On a thread of its own: a sweep over a large table does not make a scrape wait, and no client, however slow or many,
//! makes a sweep wait.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io::{self, ErrorKind},
    net::{self, SocketAddr},
    sync::Arc,
    thread,
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime, select,
    sync::oneshot,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{Format, Sample, Vitals};

/// Longest time a request's header may take.
const HEADER: Duration = Duration::from_secs(5);
/// Longest time a connection may take, its one answer included.
const CONNECTION: Duration = Duration::from_secs(10);
/// Most connections at a time. With one more the oldest ends: whoever is quick is served however many are slow.
const CONNECTIONS: usize = 16;
/// Most bytes of a request's header.
const MOST_HEADER: usize = 16 << 10;
/// Pause where the system has no connection to give.
const PAUSE: Duration = Duration::from_millis(100);

/// Why metrics cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address could not be listened on.
    #[error("cannot serve metrics on {listen}: {source}; {}", advice(*listen, source))]
    Listen {
        /// `metrics.listen`.
        listen: SocketAddr,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The thread could not be started.
    #[error("cannot start the thread that serves metrics: {0}")]
    Thread(io::Error),
}

/// A socket that listens, and nobody is answered yet.
#[derive(Debug)]
pub struct Listener(net::TcpListener);

impl Listener {
    /// Listens on an address of the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// [`ServeError::Listen`]: the port is in use, the address is not this host's.
    pub fn bind(listen: SocketAddr) -> Result<Self, ServeError> {
        let bind = || {
            let listener = net::TcpListener::bind(listen)?;
            listener.set_nonblocking(true)?;
            Ok(Self(listener))
        };
        bind().map_err(|source| ServeError::Listen { listen, source })
    }

    /// Answers from now on, for the instance `name` whose daemon this is.
    ///
    /// # Errors
    ///
    /// [`ServeError::Thread`].
    pub fn serve(self, name: &str, vitals: Arc<Vitals>) -> Result<Serving, ServeError> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ServeError::Thread)?;
        let name = name.to_owned();
        let teller = Arc::new(Teller { name, vitals });
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            let served = runtime.block_on(async {
                select! {
                    served = accept(self.0, teller) => served,
                    _ = stopped => Ok(()),
                }
            });
            if let Err(error) = served {
                eprintln!("warning: metrics are not served any more: {error}");
            }
        };
        let thread = thread::Builder::new().name("metrics".to_owned());
        let thread = thread.spawn(serve).map_err(ServeError::Thread)?;
        Ok(Serving {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

/// A thread that answers. Dropped, it ends, and the port is free.
#[derive(Debug)]
pub struct Serving {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn advice(listen: SocketAddr, error: &io::Error) -> String {
    let port = listen.port();
    match error.kind() {
        ErrorKind::AddrInUse => format!(
            "end what listens there (ss -Hltnp sport = :{port} shows it), or give metrics.listen another port"
        ),
        ErrorKind::AddrNotAvailable => {
            "metrics.listen must be an address of this host, or 0.0.0.0 for all of them".to_owned()
        }
        _ => "give metrics.listen another address or port".to_owned(),
    }
}

async fn accept(listener: net::TcpListener, teller: Arc<Teller>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut connections: VecDeque<JoinHandle<()>> = VecDeque::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // No file left, or a client that has gone already.
            sleep(PAUSE).await;
            continue;
        };
        connections.retain(|connection| !connection.is_finished());
        if connections.len() == CONNECTIONS
            && let Some(oldest) = connections.pop_front()
        {
            oldest.abort();
        }
        connections.push_back(tokio::spawn(converse(stream, Arc::clone(&teller))));
    }
}

/// One request, one answer. Whoever does not hear it to its end has himself to blame.
async fn converse(stream: TcpStream, teller: Arc<Teller>) {
    let service = service_fn(|request| {
        let response = teller.respond(&request);
        async { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER)
        .max_buf_size(MOST_HEADER)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let _ = timeout(CONNECTION, connection).await;
}

/// Who knows the answers.
struct Teller {
    name: String,
    vitals: Arc<Vitals>,
}

impl Teller {
    fn respond(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let reads = [Method::GET, Method::HEAD].contains(request.method());
        match request.uri().path() {
            "/metrics" | "/healthz" if !reads => {
                let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
                let allowed = HeaderValue::from_static("GET, HEAD");
                response.headers_mut().insert(ALLOW, allowed);
                response
            }
            "/metrics" => self.metrics(request),
            "/healthz" => self.health(),
            _ => plain(StatusCode::NOT_FOUND, "there is /metrics, and /healthz\n"),
        }
    }

    fn metrics(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let accept = request.headers().get_all(ACCEPT).iter();
        let accept: Vec<_> = accept.filter_map(|value| value.to_str().ok()).collect();
        let format = Format::accepted(&accept.join(","));
        let (census, sweeps) = (self.vitals.census(), self.vitals.sweeps());
        match Sample::read(&self.name, true, census, Some(sweeps)) {
            Ok(sample) => answer(StatusCode::OK, format.content_type(), format.write(sample)),
            Err(error) => plain(StatusCode::SERVICE_UNAVAILABLE, &format!("{error}\n")),
        }
    }

    /// `{"status": "ok"}`, or `"failing"` with 503; `problems` are sentences.
    fn health(&self) -> Response<Full<Bytes>> {
        let mut problems = self.vitals.troubles();
        let readable = Sample::read(&self.name, true, None, None);
        problems.extend(readable.err().map(|error| error.to_string()));
        let (code, status) = if problems.is_empty() {
            (StatusCode::OK, "ok")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "failing")
        };
        let body = serde_json::json!({ "status": status, "problems": problems });
        answer(code, "application/json", format!("{body}\n"))
    }
}

fn plain(code: StatusCode, text: &str) -> Response<Full<Bytes>> {
    answer(code, "text/plain; charset=utf-8", text.to_owned())
}

fn answer(code: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
