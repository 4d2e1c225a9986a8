//! Metrics and health as plain HTTP/1.1 brings them, and what is in them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read as _, Write as _},
    net::{SocketAddrV4, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::netns::Netns;

/// Far longer than an answer takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status code.
    pub code: u16,
    /// Header fields; their names in lower case.
    pub fields: BTreeMap<String, String>,
    /// All behind them.
    pub body: String,
}

/// The samples of a page of metrics by their names with labels, as they are written.
#[derive(Clone, Debug, Default)]
pub struct Scrape(pub BTreeMap<String, f64>);

/// Sends a request line and header fields, each of which ends in `\r\n`.
pub fn request(netns: &Netns, server: SocketAddrV4, head: &str) -> Result<Answer> {
    netns.enter(|| {
        let mut stream = TcpStream::connect_timeout(&server.into(), PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "{head}host: {server}\r\n\r\n")?;
        let mut text = String::new();
        stream
            .read_to_string(&mut text)
            .context("reading the answer")?;
        Answer::parse(&text).with_context(|| format!("no answer of HTTP: {text:?}"))
    })
}

/// Gets a path.
pub fn get(netns: &Netns, server: SocketAddrV4, path: &str) -> Result<Answer> {
    request(netns, server, &format!("GET {path} HTTP/1.1\r\n"))
}

impl Answer {
    fn parse(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.lines();
        let status = lines.next()?.strip_prefix("HTTP/1.")?;
        let field = |line: &str| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_lowercase(), value.to_owned()))
        };
        Some(Self {
            code: status.get(2..5)?.parse().ok()?,
            fields: lines.filter_map(field).collect(),
            body: body.to_owned(),
        })
    }
}

impl Scrape {
    /// Reads either text form.
    pub fn parse(page: &str) -> Result<Self> {
        let samples = page.lines().filter(|line| !line.starts_with('#'));
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series.to_owned(), value.parse().ok()?))
        };
        samples
            .map(|line| sample(line).with_context(|| format!("no sample: {line:?}")))
            .collect::<Result<_>>()
            .map(Self)
    }

    /// A sample's value, by its name and labels in the page's order: `snat_drops_total{reason="filtered"}`.
    pub fn value(&self, series: &str) -> Result<f64> {
        let value = self.0.get(series).copied();
        value.with_context(|| format!("there is no {series} among {:#?}", self.0))
    }

    /// The sum over a name's samples.
    #[must_use]
    pub fn sum(&self, name: &str) -> f64 {
        let of_it = |series: &&String| series.split('{').next() == Some(name);
        self.0
            .keys()
            .filter(of_it)
            .map(|series| self.0[series])
            .sum()
    }

    /// All names.
    #[must_use]
    pub fn names(&self) -> BTreeSet<&str> {
        self.0
            .keys()
            .filter_map(|series| series.split('{').next())
            .collect()
    }
}
