//! A host with two network interfaces, each with an EIP: what came in by one has to leave by it.

mod answers;
mod flap;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::{Scenario, Standing, Step, Story};
use crate::{
    eni::{EniCtl, Snapshot, serve},
    gateway::Gateway,
    netns::Netns,
    session::LineServer,
    topology::enis::Enis,
};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "eni",
    about: "a host with two interfaces answers by the one it was asked at",
    drawing: DRAWING,
    run,
};

const DRAWING: &str =
    "    VPC 172.16.0.0/16                                        │        Internet
                                                             │
          ┌── eth0 172.16.10.10 ──────── .253 subnet10 ──┐   │   EIP 203.0.113.10 <-> 172.16.10.10
    vm ───┤                                             vpc ─┼── srv 198.51.100.20
          └── eth1 172.16.20.193, .177 ─ .253 subnet20 ──┘   │   EIP 203.0.113.20 <-> 172.16.20.193

    IPv6: vm 2001:db8:10::10 on eth0 and 2001:db8:20::193 on eth1, srv 2001:db8:ffff::20
    vm's default routes, as its operating system made them: by eth0";

const CONFIG: &str = "[[eni]]
match          = { name = \"eth1\" }
table          = 1001
gateway        = \"172.16.20.253\"
gateway6       = \"2001:db8:20::fd\"
default_metric = 200
";

/// Where tables and protocols get names.
const NAMES: [&str; 2] = ["/etc/iproute2/rt_tables.d", "/etc/iproute2/rt_protos.d"];

fn run(story: &mut Story<'_>, _datapath: &str) -> Result<Box<dyn Standing>> {
    let enis = Enis::build("snat-")?;
    let service = serve(&enis)?;
    let ctl = EniCtl::new(&enis.vm, "lab", CONFIG)?;
    let mut names_before = names()?;
    // The machine's own snat-ctl may have left it there, in what the sandbox only overlays.
    names_before.retain(|path, _| !path.ends_with("snat.conf"));
    let before = (Snapshot::take(&enis.vm)?, names_before);

    story.step(
        "Without policy routes: srv asks vm at each address, by ping and TCP",
        |step| answers::all_by_eth0(step, &enis),
    );
    story.step(
        "From here on the VPC drops what has a source of another subnet, as clouds do",
        |step| answers::eth1_is_mute(step, &enis),
    );
    story.step("snat-ctl eni plan", |step| {
        step.table = Some(format!("{CONFIG}\n{}", ctl.done("plan")?));
        let unchanged = Snapshot::take(&enis.vm)? == before.0;
        step.saw("vm", "of this configuration; nothing is changed", unchanged);
        Ok(())
    });
    story.step("snat-ctl eni apply", |step| apply(step, &ctl, &enis));
    story.step("With them: srv asks again", |step| {
        answers::each_by_its_own(step, &enis)
    });
    story.step(
        "eth1 has a default route, too, behind that of eth0",
        |step| answers::own_traffic_by_eth0(step, &enis),
    );
    story.step("snat-ctl eni verify asks the kernel", |step| {
        let ended = ctl.run("verify")?;
        step.saw("vm", "every intent holds", ended.code == Some(0));
        step.table = Some(ended.stdout + &ended.stderr);
        Ok(())
    });
    let mut daemon = None;
    story.step(
        "snat-ctl run keeps it: eth1 goes down and comes back",
        |step| {
            daemon = Some(ctl.daemon()?);
            flap::down_and_up(step, &enis)
        },
    );
    Ok(Box::new(Setup {
        daemon,
        ctl,
        before,
        _service: service,
        enis,
    }))
}

/// And once more, which must change nothing.
fn apply(step: &mut Step, ctl: &EniCtl, enis: &Enis) -> Result<()> {
    ctl.done("apply")?;
    let once = Snapshot::take(&enis.vm)?;
    step.saw("vm", "applied", true);
    ctl.done("apply")?;
    let twice = Snapshot::take(&enis.vm)?;
    step.saw(
        "vm",
        "applied again: rules and routes stay as they are",
        once == twice,
    );
    let mut table = String::new();
    for line in [
        "ip rule",
        "ip route show table 1001",
        "ip -6 rule",
        "ip -6 route show table 1001",
    ] {
        table += &format!("# {line}\n{}", enis.vm.run(line)?);
    }
    step.table = Some(table);
    Ok(())
}

struct Setup {
    daemon: Option<Gateway>,
    ctl: EniCtl,
    before: (Snapshot, BTreeMap<PathBuf, String>),
    _service: LineServer,
    enis: Enis,
}

impl Standing for Setup {
    fn namespaces(&self) -> Vec<&Netns> {
        self.enis.namespaces().collect()
    }

    fn example(&self) -> &'static str {
        "eni status"
    }

    fn take_down(&mut self, story: &mut Story<'_>) {
        story.step("snat-ctl eni remove", |step| {
            if let Some(daemon) = &mut self.daemon {
                daemon.stop()?;
            }
            self.ctl.done("remove")?;
            let (rules, named) = &self.before;
            let now = Snapshot::take(&self.enis.vm)?;
            step.saw(
                "vm",
                format!(
                    "its {} rules and routes are byte for byte what they were before",
                    now.lines().count()
                ),
                now == *rules,
            );
            step.saw(
                "vm",
                "and so are the names of tables and protocols",
                names()? == *named,
            );
            if now != *rules {
                step.table = Some(now.difference(rules));
            }
            Ok(())
        });
    }
}

fn names() -> io::Result<BTreeMap<PathBuf, String>> {
    let mut names = BTreeMap::new();
    for folder in NAMES
        .map(Path::new)
        .into_iter()
        .filter(|path| path.exists())
    {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let text = fs::read_to_string(&path)?;
            names.insert(path, text);
        }
    }
    Ok(names)
}
