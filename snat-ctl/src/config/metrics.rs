//! Section `[metrics]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{report::Report, section::Section, values};

const ACCEPTED: &str = "an address and port such as \"127.0.0.1:9469\"";
const DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9469);

/// Where metrics are served; `None` without the section.
pub(super) fn metrics(root: &Section<'_>, report: &mut Report<'_>) -> Option<SocketAddr> {
    let section = root
        .get("metrics", report)?
        .section(&["listen"], "section [metrics]", report)?;
    let listen = section.optional(
        "listen",
        |value| {
            let listen = values::endpoint::<SocketAddr>(value, ACCEPTED)?;
            if listen.port() == 0 {
                return Err(format!(
                    "\"{listen}\" has no port that a server could be told; accepted: {ACCEPTED}"
                ));
            }
            Ok(listen)
        },
        report,
    );
    Some(listen.unwrap_or(DEFAULT))
}
