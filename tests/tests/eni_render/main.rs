//! What `snat-ctl eni render` writes, run by those it is written for, in namespaces: a shell and systemd-networkd.

mod applied;
mod intent;
mod networkd;
mod state;

use std::{fs, process::Command};

use anyhow::{Result, ensure};
use snat_ctl::eni::render::{Format, Rendered};
use snat_tests::{
    netns::{Netns, output},
    topology::unique_prefix,
};
use tempfile::TempDir;

use self::{intent::rendered, networkd::Networkd};

#[test]
fn the_script_makes_exactly_its_rules_and_routes_however_often_it_runs() -> Result<()> {
    let host = intent::host(&format!("{}sh", unique_prefix()))?;
    let script = Script::new(&rendered(Format::Iproute2, None)?)?;
    for _ in 0..3 {
        script.run(&host, "add")?;
        state::expect_all(&host)?;
    }
    Ok(())
}

#[test]
fn the_script_removes_its_own_and_leaves_twins_of_others() -> Result<()> {
    let host = intent::host(&format!("{}rm", unique_prefix()))?;
    host.ip(
        "rule add from 172.16.20.193 lookup 7020 priority 20410 protocol 4\n\
         route add 192.0.2.0/24 via 172.16.20.253 table 7020 protocol 4\n",
    )?;
    host.run("ip -6 rule add from 2001:db8:20::193 lookup 7020 priority 20412 protocol 4")?;
    let before = state::everything(&host)?;
    let script = Script::new(&rendered(Format::Iproute2, None)?)?;
    script.run(&host, "add")?;
    state::lookups(&host)?;
    script.run(&host, "remove")?;
    let after = state::everything(&host)?;
    ensure!(before == after, "before:\n{before}\nafter:\n{after}");
    script.run(&host, "remove")
}

#[test]
fn the_script_says_which_route_of_another_stands_in_the_way_and_does_the_rest() -> Result<()> {
    let host = intent::host(&format!("{}way", unique_prefix()))?;
    host.ip("route add default via 172.16.10.253 metric 200 protocol 4")?;
    let script = Script::new(&rendered(Format::Iproute2, None)?)?;
    let error = script
        .run(&host, "add")
        .expect_err("the main table has one with metric 200");
    let error = format!("{error:#}");
    ensure!(
        error.contains(
            "default via 172.16.20.253 dev eth1 metric 200 table 254: a route that is not ours"
        ),
        "{error}"
    );
    state::lookups(&host)
}

#[test]
fn the_script_replaces_a_route_of_ours_that_leads_elsewhere() -> Result<()> {
    let host = intent::host(&format!("{}old", unique_prefix()))?;
    host.ip("route add default via 172.16.20.1 table 7020 protocol 201")?;
    Script::new(&rendered(Format::Iproute2, None)?)?.run(&host, "add")?;
    state::expect_all(&host)
}

#[test]
fn networkd_makes_the_same_of_whole_files() -> Result<()> {
    let host = intent::bare_host(&format!("{}nw", unique_prefix()))?;
    let networkd = Networkd::start(&host, &rendered(Format::Networkd, None)?.files, &[])?;
    networkd.settled(|| state::expect_all(&host))
}

#[test]
fn networkd_makes_the_same_of_drop_ins_beside_its_own_files() -> Result<()> {
    let host = intent::bare_host(&format!("{}nd", unique_prefix()))?;
    let own = ["eth0", "eth1"].map(|name| (format!("10-{name}.network"), intent::own_file(name)));
    let files = rendered(Format::Networkd, Some("/run/systemd/network/10-@.network"))?.files;
    ensure!(files[1].path == "/etc/systemd/network/10-eth1.network.d/50-snat.conf");
    let networkd = Networkd::start(&host, &files, &own)?;
    networkd.settled(|| state::expect_all(&host))
}

struct Script {
    folder: TempDir,
}

impl Script {
    fn new(rendered: &Rendered) -> Result<Self> {
        Self::of(&rendered.files[0].text)
    }

    fn of(text: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("script"), text)?;
        Ok(Self { folder })
    }

    fn run(&self, host: &Netns, action: &str) -> Result<()> {
        let mut command: Command = host.command("sh");
        command.arg(self.folder.path().join("script")).arg(action);
        let said = output(&mut command)?;
        ensure!(said.is_empty(), "the script says {said:?}");
        Ok(())
    }
}
