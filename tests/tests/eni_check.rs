//! `snat-ctl check` of a file that has policy routes and no gateway; and that what it has nothing to say of is no
//! obstacle.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use snat_tests::{
    eni::{Ended, EniCtl, Snapshot, ask, only, section, serve},
    gateway::program,
    netns,
    topology::{
        enis::{ETH0, ETH1, Eni, Enis},
        unique_prefix,
    },
};

#[test]
fn a_host_that_the_policy_routes_fit() -> Result<()> {
    let (enis, ctl) = host(&section(&ETH1, ""))?;
    let before = Snapshot::take(&enis.vm)?;
    let ended = check(&enis, &ctl, &[])?.expect(0)?;
    ensure!(
        ended
            .stdout
            .contains("ok     eni.interface  eth1: policy routes fit, table 1001"),
        "{ended}"
    );
    Snapshot::take(&enis.vm)?.expect_as(&before)
}

#[test]
fn what_apply_would_refuse_is_fatal_with_its_remedy() -> Result<()> {
    let wrong = Eni {
        gateway: ETH0.gateway,
        ..ETH1
    };
    let (enis, ctl) = host(&section(&wrong, ""))?;
    check(&enis, &ctl, &[])?.expect(3)?;
    let finding = finding(&enis, &ctl, "eni.host")?;
    ensure!(finding["severity"] == "fatal", "{finding}");
    for (key, text) in [
        ("what", "eth1: the gateway 172.16.10.253 is not on its link"),
        ("why", "refuse"),
        ("fix", "ip route add 172.16.10.253 dev eth1"),
    ] {
        let told = finding[key].as_str().context("not told")?;
        ensure!(told.contains(text), "{finding}");
    }
    Ok(())
}

#[test]
fn an_interface_that_is_not_there_and_a_gateway_that_is_guessed_are_told() -> Result<()> {
    let absent = Eni {
        dev: "eth9",
        ..ETH0
    };
    let guessed = "[[eni]]\nmatch = { name = \"eth1\" }\ntable = 1001\n";
    let (enis, ctl) = host(&(section(&absent, "") + guessed))?;
    check(&enis, &ctl, &[])?.expect(0)?;
    let note = finding(&enis, &ctl, "eni.note")?;
    ensure!(
        note["severity"] == "info"
            && note["what"] == "eth1: gateway 172.16.20.1: first address of the subnet",
        "{note}"
    );
    let report = report(&enis, &ctl)?;
    let severities: Vec<_> = report
        .iter()
        .filter(|finding| finding["id"] == "eni.interface")
        .map(|finding| (finding["subject"].clone(), finding["severity"].clone()))
        .collect();
    ensure!(
        severities == [("eth1".into(), "ok".into()), ("eth9".into(), "warn".into())],
        "{report:#?}"
    );
    Ok(())
}

/// The kernel looks the way back up by our rules too (`fib_validate_source`), so nothing has to be said of it.
#[test]
fn strict_reverse_path_filtering_is_no_obstacle_once_the_routes_are_there() -> Result<()> {
    let (enis, ctl) = host(&section(&ETH1, ""))?;
    let _service = serve(&enis)?;
    for conf in ["all", "eth0", "eth1"] {
        enis.vm
            .sysctl(&format!("net/ipv4/conf/{conf}/rp_filter"), "1")?;
    }
    ensure!(ask(&enis, ETH1.eip).is_err(), "the filter lets all in");
    ctl.done("apply")?;
    only(&ask(&enis, ETH1.eip)?, ("eth1", ETH1.addr.into()))?;
    only(&ask(&enis, ETH0.eip)?, ("eth0", ETH0.addr.into())).map(drop)
}

fn host(config: &str) -> Result<(Enis, EniCtl)> {
    let prefix = unique_prefix();
    let enis = Enis::build(&prefix)?;
    let ctl = EniCtl::new(&enis.vm, &format!("{prefix}eni"), config)?;
    Ok((enis, ctl))
}

fn check(enis: &Enis, ctl: &EniCtl, options: &[&str]) -> Result<Ended> {
    let mut check: Command = netns::command(enis.vm.name(), program()?);
    check
        .arg("check")
        .arg("--config")
        .arg(ctl.config())
        .args(options);
    ctl.end(&mut check, "check")
}

fn report(enis: &Enis, ctl: &EniCtl) -> Result<Vec<Value>> {
    let ended = check(enis, ctl, &["--json"])?;
    let report: Value = serde_json::from_str(&ended.stdout)?;
    report["findings"]
        .as_array()
        .cloned()
        .context("no findings")
}

fn finding(enis: &Enis, ctl: &EniCtl, id: &str) -> Result<Value> {
    let findings = report(enis, ctl)?;
    let found = findings.iter().find(|finding| finding["id"] == id);
    found
        .cloned()
        .with_context(|| format!("no {id}: {findings:#?}"))
}
