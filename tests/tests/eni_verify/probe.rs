//! `verify --probe`: from every address, and what comes of it.

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    eni::only,
    topology::enis::{ETH0, ETH1, SERVER, SERVER6},
    traffic::SSH,
};

use super::Scene;

#[test]
fn who_answers_is_told_for_each_source() -> Result<()> {
    let scene = Scene::new("")?;
    scene.enis.refuse_spoofed()?;
    for target in [
        SERVER.to_string(),
        format!("{SERVER}:{SSH}"),
        SERVER6.to_string(),
        format!("[{SERVER6}]:{SSH}"),
    ] {
        let sources = if target.contains("2001") { 1 } else { 2 };
        let ended = scene
            .ctl
            .run(&format!("verify --probe {target}"))?
            .expect(0)?;
        let probes = ended
            .stdout
            .lines()
            .filter(|line| line.contains("probe by eth1"));
        let answered =
            probes.filter(|line| line.contains("answered after") && line.contains(&target));
        ensure!(answered.count() == sources, "{ended}");
    }
    Ok(())
}

#[test]
fn a_probe_leaves_by_the_interface_that_has_its_source() -> Result<()> {
    let scene = Scene::new("")?;
    let leaving = scene.enis.leaving(&[ETH0])?;
    let by_eth1 = scene.enis.leaving(&[ETH1])?;
    scene.ctl.done(&format!("verify --probe {SERVER6}"))?;
    only(&by_eth1.count()?, ("eth1", ETH1.addr6.into()))?;
    ensure!(leaving.count()?.is_empty(), "something left by eth0");
    Ok(())
}

#[test]
fn silence_and_refusal_are_a_problem_found() -> Result<()> {
    let scene = Scene::new("")?;
    scene.enis.vpc.nft(
        "table inet silent {
             chain f { type filter hook forward priority 0; icmp type echo-request drop; }
         }",
    )?;
    for (target, why) in [
        (SERVER.to_string(), "no answer within 2 s"),
        (format!("{SERVER}:9"), "refused"),
    ] {
        let verify = format!("verify --probe {target}");
        let ended = scene.ctl.run(&verify)?.expect(3)?;
        ensure!(
            ended.stdout.contains("WRONG") && ended.stdout.contains(why),
            "without {why:?}: {ended}"
        );
        let report = scene.ctl.json(&verify)?;
        let probes = report["probes"].as_array().context("no probes")?;
        ensure!(report["ok"] == false && probes.len() == 2, "{report}");
        for probe in probes {
            ensure!(
                probe["interface"] == "eth1"
                    && probe["target"] == target.as_str()
                    && probe["milliseconds"].is_null()
                    && probe["error"]
                        .as_str()
                        .is_some_and(|error| error.contains(why)),
                "{probe}"
            );
        }
    }
    Ok(())
}

#[test]
fn a_way_that_an_access_rule_closes_is_told_by_its_probe() -> Result<()> {
    let rule = format!(
        "[[rule]]\nsource = [\"{}/32\"]\naction = \"prohibit\"\n",
        ETH1.addr
    );
    let scene = Scene::new(&rule)?;
    let ended = scene
        .ctl
        .run(&format!("verify --probe {SERVER}"))?
        .expect(3)?;
    ensure!(ended.stdout.contains("Permission denied"), "{ended}");
    // The other address has its way.
    ensure!(ended.stdout.contains("answered after"), "{ended}");
    Ok(())
}

#[test]
fn what_is_no_target_is_wrong_usage() -> Result<()> {
    let scene = Scene::new("")?;
    for target in ["example.org", "198.51.100.20:99999", "2001:db8::1:22x", ""] {
        let wrong = scene.ctl.run(&format!("verify --probe={target}"))?;
        wrong.expect(2)?.says(&["--probe"])?;
    }
    Ok(())
}
