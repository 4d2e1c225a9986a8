//! Lists are in the order that was asked for, and as long.

use anyhow::{Context as _, Result, ensure};

use crate::ground::Ground;

#[test]
fn lists_are_sorted_cut_and_counted() -> Result<()> {
    let ground = Ground::start("tc")?;
    let gateway = &ground.scene.gateway;
    // The session goes on; the rest is still.
    let still = ["--protocol", "udp"];
    for (order, wanted) in [
        (&["--sort", "bytes"][..], ["busy", "other", "calm"]),
        (&["--sort", "packets"], ["busy", "other", "calm"]),
        (&["--sort", "bytes", "--reverse"], ["calm", "other", "busy"]),
        (&["--sort", "age"], ["busy", "calm", "other"]),
        (&["--sort", "client"], ["busy", "calm", "other"]),
        (&["--reverse"], ["other", "calm", "busy"]),
        (&["--sort", "server"], ["busy", "calm", "other"]),
        (
            &["--sort", "server", "--reverse"],
            ["other", "busy", "calm"],
        ),
    ] {
        let listed = ground.listed(&[&still, order].concat())?;
        ensure!(listed == wanted, "{order:?}: {listed:?}");
        let first = ground.listed(&[&still, order, &["--limit", "2"]].concat())?;
        ensure!(first == wanted[..2], "{order:?}, the first two: {first:?}");
    }
    ensure!(ground.listed(&["--limit", "0"])?.is_empty());

    let table = |more: &[&str]| gateway.ctl(&[&["flows"], &still[..], more].concat());
    let all = table(&[])?;
    ensure!(
        all.lines().count() == 6 && all.ends_with("\n\n3 flows\n"),
        "{all}"
    );
    let cut = table(&["--limit", "1", "--sort", "bytes"])?;
    ensure!(
        cut.lines().count() == 4 && cut.ends_with("\n\n1 of 3 flows\n"),
        "{cut}"
    );
    let row = cut.lines().nth(1).context("no row")?;
    let words: Vec<_> = row.split_whitespace().collect();
    ensure!(
        words[..2] == ["udp", "172.16.1.11:4000"]
            && words[3..6] == ["198.51.100.20:7", "udp", "eth0"],
        "{row}"
    );
    let none = gateway.ctl(&["flows", "--protocol", "sctp"])?;
    ensure!(
        none.starts_with("PROTO") && none.ends_with("\n\n0 flows\n"),
        "{none}"
    );
    ensure!(gateway.ctl(&["flows", "--protocol", "sctp", "--json"])? == "[]\n");
    ground.session.finish().map(drop)
}

#[test]
fn who_sends_most_now_comes_first_by_rate() -> Result<()> {
    let ground = Ground::start("xdp")?;
    let rates = ["--sort", "rate", "--limit", "1", "--interval", "500ms"];
    let first = ground.listed(&rates)?;
    ensure!(first == ["session"], "{first:?}");
    let table = ground
        .scene
        .gateway
        .ctl(&[&["flows"][..], &rates].concat())?;
    ensure!(table.contains("RATE") && table.contains("bit/s"), "{table}");
    ground.session.finish().map(drop)
}
