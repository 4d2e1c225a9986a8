//! Metrics over HTTP, while the daemon runs: where they are served may change.

use std::{net::SocketAddr, sync::Arc};

use crate::metrics::{Listener, ServeError, Serving, Vitals};

/// Served there.
pub(super) struct Metrics {
    listen: SocketAddr,
    _serving: Serving,
}

/// What is to be done, with all that may be refused had before.
pub(super) enum Switch {
    Stay,
    /// Nowhere, or to a socket that listens already.
    To(Option<(SocketAddr, Listener)>),
    /// To the same port: the old socket has to go first.
    Rebind(SocketAddr),
}

impl Metrics {
    pub(super) fn begin(
        listen: SocketAddr,
        listener: Listener,
        name: &str,
        vitals: &Arc<Vitals>,
    ) -> Result<Self, ServeError> {
        Ok(Self {
            listen,
            _serving: listener.serve(name, Arc::clone(vitals))?,
        })
    }

    pub(super) fn prepare(
        now: Option<&Self>,
        wanted: Option<SocketAddr>,
    ) -> Result<Switch, ServeError> {
        let now = now.map(|metrics| metrics.listen);
        Ok(match (now, wanted) {
            (now, wanted) if now == wanted => Switch::Stay,
            (Some(now), Some(wanted)) if now.port() == wanted.port() => Switch::Rebind(wanted),
            (_, wanted) => Switch::To(
                wanted
                    .map(|listen| Listener::bind(listen).map(|listener| (listen, listener)))
                    .transpose()?,
            ),
        })
    }
}

impl Switch {
    pub(super) fn begin(
        self,
        metrics: &mut Option<Metrics>,
        name: &str,
        vitals: &Arc<Vitals>,
    ) -> Result<(), ServeError> {
        let to = match self {
            Self::Stay => return Ok(()),
            Self::To(to) => to,
            Self::Rebind(listen) => {
                *metrics = None;
                Some((listen, Listener::bind(listen)?))
            }
        };
        *metrics = to
            .map(|(listen, listener)| Metrics::begin(listen, listener, name, vitals))
            .transpose()?;
        Ok(())
    }
}
