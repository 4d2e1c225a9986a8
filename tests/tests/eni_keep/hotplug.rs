//! ENIs that are pulled and plugged: the same MAC, another interface index.

use anyhow::{Context as _, Result, ensure};
use nix::net::if_::if_nametoindex;
use snat_tests::{
    eni::section,
    ping::ping,
    topology::{
        enis::{ETH1, ETH2, Eni, Enis},
        unique_prefix,
    },
};

use super::{
    kept::{Kept, Ours, PATIENCE},
    watched::Watched,
};

#[test]
fn an_eni_that_is_known_by_its_name() -> Result<()> {
    let kept = Kept::eth1()?;
    let first = index(&kept, "eth1")?;
    let watched = Watched::begin(&kept)?;
    kept.enis.unplug(&ETH1)?;
    watched.whole_after("plugged", || kept.enis.plug(&ETH1))?;
    ensure!(index(&kept, "eth1")? != first, "it has its old index");
    watched.finish()
}

#[test]
fn an_eni_that_is_known_by_its_mac_and_comes_back_under_another_name() -> Result<()> {
    let kept = of_mac(&ETH1)?;
    let watched = Watched::begin(&kept)?;
    let renamed = Eni {
        dev: "ens7",
        ..ETH1
    };
    let wanted: Vec<String> = texts(watched.whole())
        .map(|text| text.replace("eth1", "ens7"))
        .collect();
    kept.enis.unplug(&ETH1)?;
    watched.mended_after(
        "plugged under another name",
        || kept.enis.plug(&renamed),
        || has_all(&kept, &wanted),
    )?;
    watched.finish_by(renamed)
}

#[test]
fn an_eni_that_is_not_there_at_the_start() -> Result<()> {
    let prefix = unique_prefix();
    let config = section(&ETH1, "") + &section(&ETH2, "");
    let kept = Kept::of(Enis::build(&prefix)?, &prefix, &config)?;
    kept.says("no interface is eth2", PATIENCE)?;
    let watched = Watched::begin(&kept)?;
    // What eth1 has, eth2 must have.
    let wanted: Vec<String> = texts(watched.whole())
        .filter(|text| text.contains(&ETH1.addr.to_string()) || text.contains("unreachable"))
        .map(|text| {
            text.replace(&ETH1.addr.to_string(), &ETH2.addr.to_string())
                .replace("1001", "1002")
        })
        .collect();
    ensure!(wanted.len() >= 3, "that is not all of it: {wanted:?}");
    watched.mended_after(
        "plugged for the first time",
        || kept.enis.plug(&ETH2),
        || has_all(&kept, &wanted),
    )?;
    ping(&kept.enis.srv, ETH2.eip, 1, 1)?;
    watched.finish()
}

/// Keeps one that is matched by its MAC.
fn of_mac(eni: &Eni) -> Result<Kept> {
    let prefix = unique_prefix();
    let enis = Enis::build(&prefix)?;
    let shown = enis.vm.run(&format!("ip -br link show {}", eni.dev))?;
    let mac = shown.split_whitespace().nth(2).context("no MAC")?;
    let by_name = format!("name = \"{}\"", eni.dev);
    let config = section(eni, "").replace(&by_name, &format!("mac = \"{mac}\""));
    ensure!(config.contains("mac ="), "not by its MAC: {config}");
    Kept::of(enis, &prefix, &config)
}

fn index(kept: &Kept, dev: &str) -> Result<u32> {
    kept.enis.vm.enter(|| Ok(if_nametoindex(dev)?))
}

fn texts(ours: &Ours) -> impl Iterator<Item = String> {
    ours.iter().map(ToString::to_string)
}

/// Others may still be there: those of the name that is gone.
fn has_all(kept: &Kept, wanted: &[String]) -> Result<()> {
    let now = kept.ours()?;
    let now: Vec<_> = texts(&now).collect();
    for text in wanted {
        ensure!(now.contains(text), "there is no `{text}`: {now:#?}");
    }
    Ok(())
}
