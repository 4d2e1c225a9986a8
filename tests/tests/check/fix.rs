//! `check --fix`.

use std::{fs, process::Output};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use snat_tests::{attempt::host, netns::Netns};

use super::{as_machine, check, config};

const SETTINGS: [&str; 3] = [
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/send_redirects",
    "net/ipv4/conf/eth0/send_redirects",
];
const FATAL: i32 = 3;
const FAILED: i32 = 1;

#[test]
fn it_says_what_it_would_change_changes_that_and_then_nothing() -> Result<()> {
    let host = unfit()?;
    let config = config("[\"eth0\"]", "tc")?;
    ensure!(check(&host, &config, &[], &[])?.status.code() == Some(FATAL));

    let dry = check(&host, &config, &["--fix", "--dry-run"], &[])?;
    ensure!(dry.status.code() == Some(FATAL), "{dry:?}");
    ensure!(
        text(&dry).starts_with("would change net/ipv4/ip_forward: 0 -> 1\n"),
        "{dry:?}"
    );
    ensure!(
        values(&host)? == ["0", "1", "1"],
        "--dry-run changed something"
    );

    let fixed = check(&host, &config, &["--fix"], &[])?;
    ensure!(fixed.status.success(), "{fixed:?}");
    let changed = "changed net/ipv4/ip_forward: 0 -> 1\n\
                   changed net/ipv4/conf/all/send_redirects: 1 -> 0\n\
                   changed net/ipv4/conf/eth0/send_redirects: 1 -> 0\n\
                   not kept for the next boot: ";
    ensure!(text(&fixed).starts_with(changed), "{fixed:?}");
    ensure!(
        text(&fixed).contains("ok     sysctl.ip_forward"),
        "{fixed:?}"
    );
    ensure!(values(&host)? == ["1", "0", "0"]);

    let again = check(&host, &config, &["--fix"], &[])?;
    ensure!(text(&again).starts_with("nothing to change\n"), "{again:?}");
    ensure!(values(&host)? == ["1", "0", "0"]);
    Ok(())
}

#[test]
fn on_the_machine_itself_it_is_kept_for_the_next_boot() -> Result<()> {
    let host = unfit()?;
    let config = config("[\"eth0\"]", "tc")?;
    let dir = tempfile::tempdir()?;
    let mount = format!("mount --bind {} /etc/sysctl.d", dir.path().display());
    let machine = as_machine(&mount);
    let machine: Vec<&str> = machine.iter().map(String::as_str).collect();
    let report = |options: &[&str]| -> Result<Value> {
        let ended = check(&host, &config, options, &machine)?;
        Ok(serde_json::from_slice(&ended.stdout)?)
    };
    let kept_in = "/etc/sysctl.d/90-snat-checked.conf";

    let dry = report(&["--json", "--fix", "--dry-run"])?;
    ensure!(
        dry["fixed"]["kept_in"].is_null() && dry["fixed"]["dry_run"] == true,
        "{dry:#}"
    );
    ensure!(
        fs::read_dir(dir.path())?.next().is_none(),
        "--dry-run wrote a file"
    );

    let fixed = report(&["--json", "--fix"])?;
    let expected = json!({"setting": SETTINGS[0], "from": 0, "to": 1});
    ensure!(
        fixed["fixed"]["kept_in"] == kept_in && fixed["fixed"]["changes"][0] == expected,
        "{fixed:#}"
    );
    let read = || fs::read_to_string(dir.path().join("90-snat-checked.conf"));
    let kept = read()?;
    for line in [
        "net/ipv4/ip_forward = 1",
        "net/ipv4/conf/all/send_redirects = 0",
        "net/ipv4/conf/eth0/send_redirects = 0",
    ] {
        ensure!(kept.lines().any(|other| other == line), "{kept}");
    }

    // What is set already is no reason to write, and what is set anew stays beside what was kept.
    report(&["--json", "--fix"])?;
    ensure!(read()? == kept, "{}", read()?);
    host.sysctl(SETTINGS[2], "1")?;
    report(&["--json", "--fix"])?;
    ensure!(read()? == kept, "{}", read()?);
    ensure!(report(&["--json"])?.get("fixed").is_none());
    Ok(())
}

#[test]
fn without_permission_it_says_so_and_changes_nothing() -> Result<()> {
    let host = unfit()?;
    let config = config("[\"eth0\"]", "tc")?;
    let drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
    let refused = check(&host, &config, &["--fix"], &drop)?;
    ensure!(refused.status.code() == Some(FAILED), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stderr);
    for words in [
        "net/ipv4/ip_forward: 0 -> 1",
        "run as root",
        "nothing was changed",
    ] {
        ensure!(said.contains(words), "{said}");
    }
    ensure!(values(&host)? == ["0", "1", "1"]);
    Ok(())
}

#[test]
fn a_failure_on_the_way_says_what_was_changed() -> Result<()> {
    let host = unfit()?;
    let config = config("[\"eth0\"]", "tc")?;
    let line = format!(
        "p=/proc/sys/{} && mount --bind $p $p && mount -o remount,bind,ro $p && exec \"$@\"",
        SETTINGS[2]
    );
    let one_is_fixed = ["unshare", "--mount", "sh", "-c", &line, "sh"];
    let failed = check(&host, &config, &["--fix"], &one_is_fixed)?;
    ensure!(failed.status.code() == Some(FAILED), "{failed:?}");
    let said = String::from_utf8_lossy(&failed.stderr);
    for words in [
        "cannot change net/ipv4/conf/eth0/send_redirects: 1 -> 0",
        "changed before that: net/ipv4/ip_forward: 0 -> 1, net/ipv4/conf/all/send_redirects: 1 -> 0",
    ] {
        ensure!(said.contains(words), "{said}");
    }
    ensure!(values(&host)? == ["1", "0", "1"]);
    Ok(())
}

/// A host that forwards nothing and sends redirects.
fn unfit() -> Result<Netns> {
    let host = host("fix")?;
    for (setting, value) in SETTINGS.iter().zip(["0", "1", "1"]) {
        host.sysctl(setting, value)?;
    }
    Ok(host)
}

fn values(host: &Netns) -> Result<Vec<String>> {
    host.enter(|| {
        let read = |setting| fs::read_to_string(format!("/proc/sys/{setting}"));
        let values = SETTINGS.iter().map(read);
        let values = values.collect::<Result<Vec<_>, _>>()?;
        Ok(values.iter().map(|value| value.trim().to_owned()).collect())
    })
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
