//! `run --trace`: which packets are meant, and what the datapath says of them in a person's words.

mod told;

use std::{
    str::FromStr,
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

use aya::Ebpf;
use aya_log::EbpfLogger;
use snat_common::trace::{End, Filter as Wanted, UNASKED};

use self::told::Teller;
use crate::datapath::{Filter, FilterError, protocol_number};

/// Time between two looks at what the datapath has sent.
const PACE: Duration = Duration::from_millis(50);

/// Which packets are shown: the words of `flows` that a packet by itself can be asked about, each with one value.
#[derive(Clone, Debug)]
pub struct TraceFilter(Wanted);

/// Why a line of text is no [`TraceFilter`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TraceFilterError {
    /// Not a filter at all.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// Nothing in it.
    #[error(
        "it is empty; name a client, as source=172.16.4.9, or something else that few packets have"
    )]
    Empty,
    /// A flow has that, a packet has not.
    #[error(
        "only source, destination, external, source-port, port, external-port and protocol can be asked of a packet"
    )]
    NotOfAPacket,
    /// More than one value.
    #[error("{0} has several values; a trace takes one")]
    Several(&'static str),
}

impl FromStr for TraceFilter {
    type Err = TraceFilterError;

    fn from_str(text: &str) -> Result<Self, TraceFilterError> {
        let filter: Filter = text.parse()?;
        if filter.is_empty() {
            return Err(TraceFilterError::Empty);
        }
        let of_packets = Filter {
            source: filter.source.clone(),
            destination: filter.destination.clone(),
            external: filter.external.clone(),
            source_port: filter.source_port.clone(),
            port: filter.port.clone(),
            external_port: filter.external_port.clone(),
            protocol: filter.protocol.clone(),
            ..Filter::default()
        };
        if filter != of_packets {
            return Err(TraceFilterError::NotOfAPacket);
        }
        let end = |nets: &[ipnet::Ipv4Net], ports: &[u16], names: [&'static str; 2]| {
            let net = one(nets, names[0])?.unwrap_or_default();
            let port = one(ports, names[1])?;
            Ok::<_, TraceFilterError>(End {
                net: net.network().octets(),
                mask: net.netmask().octets(),
                port: port.map_or(UNASKED, u32::from),
            })
        };
        let protocol = one(&filter.protocol, "protocol")?;
        Ok(Self(Wanted {
            protocol: protocol.map_or(UNASKED, |name| protocol_number(&name)),
            client: end(
                &filter.source,
                &filter.source_port,
                ["source", "source-port"],
            )?,
            server: end(&filter.destination, &filter.port, ["destination", "port"])?,
            external: end(
                &filter.external,
                &filter.external_port,
                ["external", "external-port"],
            )?,
        }))
    }
}

impl TraceFilter {
    /// As the datapath's constants.
    #[must_use]
    pub fn words(&self) -> [u32; snat_common::trace::FILTER_WORDS] {
        self.0.words()
    }
}

/// What the traced programs say is shown as long as this lives.
pub struct Tracer {
    _stop: Sender<()>,
}

impl Tracer {
    /// Begins to show it on standard error.
    ///
    /// # Errors
    ///
    /// Where the programs were not loaded to be traced, or no thread can be started.
    pub fn start(ebpf: &mut Ebpf) -> anyhow::Result<Self> {
        let mut logger = EbpfLogger::init_with_logger(ebpf, Teller)?;
        let (stop, stopped) = mpsc::channel();
        thread::Builder::new()
            .name("snat-trace".to_owned())
            .spawn(move || {
                while stopped.recv_timeout(PACE) == Err(RecvTimeoutError::Timeout) {
                    logger.flush();
                }
            })?;
        Ok(Self { _stop: stop })
    }
}

fn one<T: Clone>(values: &[T], word: &'static str) -> Result<Option<T>, TraceFilterError> {
    match values {
        [] => Ok(None),
        [value] => Ok(Some(value.clone())),
        _ => Err(TraceFilterError::Several(word)),
    }
}

#[cfg(test)]
mod tests {
    use snat_common::{Protocol, trace::UNASKED};

    use super::TraceFilter;

    #[test]
    fn a_filter_of_flows_is_one_of_packets_where_a_packet_has_what_it_asks() {
        let text = "source=172.16.4.0/24 port=443 protocol=tcp";
        let TraceFilter(wanted) = text.parse().expect("a filter");
        assert_eq!(wanted.protocol, Protocol::Tcp as u32);
        assert_eq!(wanted.client.net, [172, 16, 4, 0]);
        assert_eq!(wanted.client.mask, [255, 255, 255, 0]);
        assert_eq!((wanted.client.port, wanted.server.port), (UNASKED, 443));
        assert_eq!(wanted.server.mask, [0; 4]);
        for (wrong, why) in [
            ("", "it is empty"),
            ("port=1,2", "port has several values"),
            ("state=established", "only source, destination"),
            ("sauce=1.2.3.4", "there is no filter"),
        ] {
            let error = wrong.parse::<TraceFilter>().expect_err(wrong).to_string();
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }
}
