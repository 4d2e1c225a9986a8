//! The log in the journal, of which only the socket is there.

use std::{fs, os::unix::net::UnixDatagram, path::Path};

use anyhow::{Context as _, Result, bail, ensure};
use snat_tests::{
    attempt::{Refusal, host},
    scene::Plan,
    traffic::ECHO,
    udp::{self, UdpEcho},
};

use crate::book::SOON;

const SOCKET: &str = "/run/systemd/journal/socket";

// One test: the socket has one place.
#[test]
fn the_journal_gets_fields_to_look_for_and_is_missed_before_anything_is_changed() -> Result<()> {
    ensure!(!Path::new(SOCKET).exists(), "the sandbox has a journal");
    let host = host("lj")?;
    let log = "\n[log]\nmappings = \"journal\"\n";
    let config = format!(
        "[gateway]\nname = {:?}\ninterfaces = [\"eth0\"]\nmax_flows = 64\ndatapath = \"tc\"\n\n\
         [[snat]]\nsource = [\"172.16.0.0/16\"]\nports = \"1024-2047\"\n{log}",
        host.name()
    );
    let refusal = Refusal::of(&host, host.name(), &config)?;
    refusal.expect(
        1,
        &["cannot reach systemd's journal", "nothing was changed"],
    )?;

    fs::create_dir_all(Path::new(SOCKET).parent().context("a path")?)?;
    let journal = UnixDatagram::bind(SOCKET)?;
    journal.set_read_timeout(Some(SOON))?;
    let told = told(&journal, log);
    fs::remove_file(SOCKET)?;
    told
}

fn told(journal: &UnixDatagram, log: &str) -> Result<()> {
    let scene = Plan {
        sections: log,
        ..Plan::routed("tc")
    }
    .start()?;
    let topology = &scene.topology;
    let _echo = UdpEcho::start(&topology.server.netns, ECHO)?;
    let server = std::net::SocketAddrV4::new(topology.server.addr, ECHO);
    let seen = udp::exchange(&topology.clients[0].netns, server, 4000, 1)?;
    for _ in 0..100 {
        let mut entry = [0; 8192];
        let len = journal
            .recv(&mut entry)
            .context("the journal hears nothing")?;
        let fields = fields(&entry[..len])?;
        let field = |name: &str| {
            let found = fields.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.as_str())
        };
        if field("SNAT_EVENT") != Some("mapping_made") {
            continue;
        }
        let client = topology.clients[0].addr.to_string();
        let port = seen.port().to_string();
        ensure!(field("SNAT_CLIENT") == Some(&client), "{fields:?}");
        ensure!(field("SNAT_CLIENT_PORT") == Some("4000"), "{fields:?}");
        ensure!(field("SNAT_EXTERNAL_PORT") == Some(&port), "{fields:?}");
        ensure!(field("SYSLOG_IDENTIFIER") == Some("snat-ctl"), "{fields:?}");
        let line: serde_json::Value = serde_json::from_str(field("MESSAGE").context("no text")?)?;
        ensure!(line["external_port"] == seen.port(), "{line}");
        return Ok(());
    }
    bail!("the mapping never came")
}

/// Of an entry in the journal's own format: `KEY=value`, or `KEY`, a length of 8 bytes, and the value.
fn fields(mut entry: &[u8]) -> Result<Vec<(String, String)>> {
    let mut fields = Vec::new();
    while let Some(end) = entry.iter().position(|byte| *byte == b'\n') {
        let head = std::str::from_utf8(&entry[..end])?;
        entry = &entry[end + 1..];
        if let Some((key, value)) = head.split_once('=') {
            fields.push((key.to_owned(), value.to_owned()));
            continue;
        }
        let (len, rest) = entry.split_first_chunk::<8>().context("a length")?;
        let (value, rest) = rest.split_at(usize::try_from(u64::from_le_bytes(*len))?);
        fields.push((head.to_owned(), String::from_utf8(value.to_vec())?));
        entry = rest.get(1..).unwrap_or_default();
    }
    Ok(fields)
}
