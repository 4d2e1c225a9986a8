//! From the documented commands to a configuration: `snat-ctl eni import`, and what it is applied to looks routes up as
//! before.

use std::{fmt::Write as _, fs};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    eni::{EniCtl, ask, only, serve},
    topology::{
        enis::{ETH0, ETH1, Enis, SERVER, SERVER6},
        unique_prefix,
    },
};

/// What clouds tell people to put there, in the ways they write it.
const RC_LOCAL: &str = "#!/bin/sh -e
# Policy routes of the second interface
ip route add default via 172.16.20.253 dev eth1 table 1001
ip rule add from 172.16.20.193 lookup 1001
ip rule add from 172.16.20.177 table 1001
ip -6 route add default via 2001:db8:20::fd dev eth1 table 1001
ip -6 rule add from 2001:db8:20::193 lookup 1001
exit 0
";

#[test]
fn the_script_becomes_a_configuration_that_looks_routes_up_as_before() -> Result<()> {
    moved_over(true)
}

#[test]
fn the_kernel_s_rules_become_a_configuration_that_looks_routes_up_as_before() -> Result<()> {
    moved_over(false)
}

#[test]
fn as_json_it_is_the_same_text_and_its_notes() -> Result<()> {
    let (enis, ctl) = host()?;
    run_script(&enis)?;
    // What no configuration says is told.
    enis.vm
        .run("ip rule add from 10.9.0.0/16 goto 32766 priority 30000")?;
    let text = ctl.done("import")?;
    let json = ctl.json("import")?;
    ensure!(json["config"] == text.as_str(), "{json}");
    let notes = json["notes"].as_array().context("no notes")?;
    let told = |note: &serde_json::Value| {
        note.as_str()
            .is_some_and(|note| note.contains("10.9.0.0/16"))
    };
    ensure!(notes.iter().any(told), "{json}");
    Ok(())
}

/// Imports, and puts the configuration in the place of the commands.
fn moved_over(from_script: bool) -> Result<()> {
    let (enis, ctl) = host()?;
    let _service = serve(&enis)?;
    run_script(&enis)?;
    let before = lookups(&enis)?;
    ensure!(before.contains("table 1001"), "{before}");

    let script = tempfile::NamedTempFile::new()?;
    fs::write(script.path(), RC_LOCAL)?;
    let import = if from_script {
        format!("import {}", script.path().display())
    } else {
        "import".to_owned()
    };
    let imported = ctl.done(&import)?;
    println!("{imported}");
    ctl.configure(&imported)?;
    let refused = ctl.run("apply")?.expect(1)?;
    refused.says(&["table 1001 has 2 routes already", "eni import"])?;

    remove_theirs(&enis)?;
    ensure!(lookups(&enis)? != before, "the commands made no difference");
    ctl.done("apply")?;
    let after = lookups(&enis)?;
    ensure!(after == before, "before:\n{before}\nafter:\n{after}");
    ctl.done("verify")?;
    only(&ask(&enis, ETH1.eip)?, ("eth1", ETH1.addr.into()))?;
    only(&ask(&enis, ETH1.addr6)?, ("eth1", ETH1.addr6.into()))?;
    only(&ask(&enis, ETH0.eip)?, ("eth0", ETH0.addr.into())).map(drop)
}

fn host() -> Result<(Enis, EniCtl)> {
    let prefix = unique_prefix();
    let enis = Enis::build(&prefix)?;
    let ctl = EniCtl::new(&enis.vm, &format!("{prefix}eni"), "")?;
    Ok((enis, ctl))
}

fn run_script(enis: &Enis) -> Result<()> {
    for line in RC_LOCAL.lines().filter(|line| line.starts_with("ip ")) {
        enis.vm.run(line)?;
    }
    Ok(())
}

fn remove_theirs(enis: &Enis) -> Result<()> {
    for line in RC_LOCAL.lines().filter(|line| line.starts_with("ip ")) {
        enis.vm.run(&line.replace(" add ", " del "))?;
    }
    Ok(())
}

/// What the kernel says to every address of the host about the Internet and the other interface's subnet. In its own
/// subnet the commands go by the gateway, and we do not.
fn lookups(enis: &Enis) -> Result<String> {
    let [secondary] = *ETH1.further else { panic!() };
    let v4 = [ETH0.addr, ETH1.addr, secondary].map(|from| format!("from {from}"));
    let v6 = [ETH0.addr6, ETH1.addr6].map(|from| format!("from {from}"));
    let mut text = String::new();
    let mut ask = |question: String| {
        let answer = enis.vm.run(&format!("ip -N -o route get {question}"))?;
        // Who made an IPv6 route is shown, and its metric: those alone are others.
        let words: Vec<_> = answer.split_whitespace().collect();
        let answer = words.join(" ").replace(" proto 201", "");
        let answer = answer.replace(" metric 20000", " metric 1024");
        writeln!(text, "{question}: {answer}").context("writing")
    };
    for from in ["", &v4[0], &v4[1], &v4[2]] {
        ask(format!("{SERVER} {from}"))?;
        ask(format!("172.16.10.77 {from}"))?;
    }
    for from in ["", &v6[0], &v6[1]] {
        ask(format!("{SERVER6} {from}"))?;
        ask(format!("2001:db8:10::77 {from}"))?;
    }
    Ok(text)
}
