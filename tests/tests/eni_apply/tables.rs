//! Tables that nobody has named, and their names, with folders of the test's own: all namespaces share the machine's.

use std::{fs, process::Command};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{
    eni::EniCtl,
    netns::output,
    topology::{
        enis::{ETH1, Enis},
        unique_prefix,
    },
};
use tempfile::TempDir;

/// In a private mount namespace: `$1` has the folders.
const INSIDE: &str = "
    set -e
    mkdir -p /etc/iproute2 /var/lib/snat
    mount --bind \"$1/names\" /etc/iproute2
    mount --bind \"$1/memory\" /var/lib/snat
    shift
    exec \"$@\"
";

#[test]
fn an_allotted_table_stays_that_of_the_mac() -> Result<()> {
    let own = Own::new()?;
    own.ctl.configure(&eni("eth1"))?;
    own.eni("apply")?;
    let first = own.table_of_eth1()?;
    ensure!((20_001..=20_999).contains(&first), "table {first}");
    own.eni("remove")?;

    own.enis.unplug(&ETH1)?;
    own.enis.plug(&ETH1)?;
    // Would be given the same one, were it not remembered.
    own.ctl.configure(&(eni("eth0") + &eni("eth1")))?;
    own.eni("apply")?;
    let again = own.table_of_eth1()?;
    ensure!(again == first, "table {first} became {again}");
    Ok(())
}

#[test]
fn ip_rule_says_whose_table_it_is_and_who_made_the_rule() -> Result<()> {
    let own = Own::new()?;
    own.ctl.configure(&eni("eth1"))?;
    own.eni("apply")?;
    let rules = own.ip("rule")?;
    let line = format!("from {} lookup snat-eth1 proto snat-ctl", ETH1.addr);
    ensure!(rules.contains(&line), "{rules}");
    let routes = own.ip("route show table snat-eth1")?;
    ensure!(routes.contains("proto snat-ctl"), "{routes}");
    own.eni("remove")?;
    ensure!(own.ip("route show table snat-eth1").is_err());
    Ok(())
}

fn eni(name: &str) -> String {
    format!("[[eni]]\nmatch = {{ name = \"{name}\" }}\n")
}

/// A host whose tables and names nobody else sees.
struct Own {
    ctl: EniCtl,
    enis: Enis,
    folder: TempDir,
}

impl Own {
    fn new() -> Result<Self> {
        let prefix = unique_prefix();
        let enis = Enis::build(&prefix)?;
        let folder = tempfile::tempdir()?;
        for name in ["names", "memory"] {
            fs::create_dir(folder.path().join(name))?;
        }
        Ok(Self {
            ctl: EniCtl::new(&enis.vm, &format!("{prefix}tab"), "")?,
            enis,
            folder,
        })
    }

    fn eni(&self, verb: &str) -> Result<()> {
        let mut command = self.inside(&self.ctl.command(verb));
        self.ctl.end(&mut command, verb)?.expect(0).map(drop)
    }

    fn ip(&self, arguments: &str) -> Result<String> {
        let mut command = self.enis.vm.command("ip");
        command.args(arguments.split_whitespace());
        output(&mut self.inside(&command))
    }

    fn table_of_eth1(&self) -> Result<u32> {
        let rules = self.ip("-N rule")?;
        let from = format!("from {} lookup ", ETH1.addr);
        let table = rules.split(&from).nth(1);
        let table = table.and_then(|rest| rest.split_whitespace().next());
        let table = table.with_context(|| format!("no rule of eth1: {rules}"))?;
        Ok(table.parse()?)
    }

    fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("unshare");
        inside
            .args([
                "--mount",
                "--propagation",
                "private",
                "sh",
                "-c",
                INSIDE,
                "sh",
            ])
            .arg(self.folder.path())
            .arg(command.get_program())
            .args(command.get_args());
        inside
    }
}
