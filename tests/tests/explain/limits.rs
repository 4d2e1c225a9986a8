//! Limits of a client's flows and of the table, as they are explained and as they are.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use snat_tests::segment::SYN;

use crate::{
    agreement::Trial,
    ground::Ground,
    packets::{Case, Side, TCP, at},
};

const SERVER: [u8; 4] = [198, 51, 100, 20];
/// A client may open a flow a second: this long after one it surely may not.
const REFUSED_FOR: Duration = Duration::from_millis(800);
const ATTEMPTS: u8 = 20;

#[test]
fn limits_of_a_client_are_explained_tc() -> Result<()> {
    let ground = Ground::start("tc", &config("", "flows_per_source = 3"))?;
    let verdicts = verdicts(&ground, (0..6).map(|port| (11, port)))?;
    let [granted, refused] = ["translated_out", "source_limit"];
    ensure!(
        verdicts == [granted, granted, granted, refused, refused, refused],
        "{verdicts:?}"
    );
    Ok(())
}

#[test]
fn a_full_table_is_explained_xdp() -> Result<()> {
    let ground = Ground::start("xdp", &config("max_flows = 16", ""))?;
    // One that takes more than its share, then others, each with less.
    let greedy = (0..15).map(|port| (11, port));
    let others = (0..4).map(|port| (12, port));
    let verdicts = verdicts(&ground, greedy.chain(others))?;
    for verdict in ["translated_out", "share_limit", "table_full"] {
        ensure!(verdicts.iter().any(|said| said == verdict), "{verdicts:?}");
    }
    Ok(())
}

#[test]
fn a_client_that_opens_flows_too_fast_is_explained_tc() -> Result<()> {
    let ground = Ground::start("tc", &config("", "new_flows_per_source = 1"))?;
    for last in 20..20 + ATTEMPTS {
        let mut trial = Trial::new(&ground);
        let begun = Instant::now();
        let first = trial.explain_and_send(&syn(last, 0))?;
        ensure!(first["verdict"] == "translated_out", "{first:#}");
        let second = trial.explain_and_send(&syn(last, 1));
        // On a busy machine the second may come after the next is allowed: then it proves nothing.
        if begun.elapsed() < REFUSED_FOR {
            ensure!(second?["verdict"] == "source_rate");
            return trial.finish().map(drop);
        }
    }
    anyhow::bail!("too busy a machine for two packets in {REFUSED_FOR:?}")
}

/// How first packets end, from 172.16.1.x and ports 40000 on: as they are explained, and as they are.
fn verdicts(ground: &Ground, flows: impl Iterator<Item = (u8, u16)>) -> Result<Vec<String>> {
    let mut trial = Trial::new(ground);
    for (last, port) in flows {
        trial.explain_and_send(&syn(last, port))?;
    }
    let explained = trial.finish()?.into_iter();
    Ok(explained
        .map(|(_, explanation)| explanation["verdict"].as_str().unwrap_or("none").to_owned())
        .collect())
}

fn syn(last: u8, port: u16) -> Case {
    Case {
        side: Side::Inside,
        protocol: TCP,
        src: at([172, 16, 1, last], 40_000 + port),
        dst: at(SERVER, 443),
        ttl: 64,
        size: 0,
        dont_fragment: false,
        flags: SYN,
    }
}

fn config(gateway: &str, limits: &str) -> String {
    format!(
        r#"[gateway]
name       = "NAME"
interfaces = ["eth0", "eth1"]
datapath   = "DATAPATH"
{gateway}

[[snat]]
source   = ["172.16.1.0/24"]
external = ["auto"]

[limits]
{limits}
"#
    )
}
