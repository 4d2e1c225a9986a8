//! Who may not.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use anyhow::{Context as _, Result};
use snat_tests::{
    eni::{Ended, EniCtl, Snapshot, section},
    gateway::program,
    netns,
    topology::enis::ETH0,
};
use tempfile::TempDir;

use super::Scene;

#[test]
fn nobody_sees_what_would_change_and_may_not_change_it() -> Result<()> {
    let scene = Scene::new()?;
    let nobody = Nobody::new()?;
    nobody.run(&scene, "plan")?.expect(0)?;
    for verb in ["apply", "apply --confirm 1h", "remove"] {
        let words = ["only root changes policy routes", "Permission denied"];
        scene.unchanged(|| nobody.run(&scene, verb), 1, &words)?;
    }
    Ok(())
}

#[test]
fn a_root_without_capabilities_may_not() -> Result<()> {
    let scene = Scene::new()?;
    let apply = || {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-all", "--inh-caps=-all", "--"]);
        command.arg(program()?);
        run_in(&scene, &command, "apply")
    };
    let words = [
        "Operation not permitted",
        "what had been done before is taken back",
    ];
    scene.unchanged(apply, 1, &words)
}

#[test]
fn a_configuration_that_the_caller_may_not_read() -> Result<()> {
    let scene = Scene::new()?;
    let nobody = Nobody::new()?;
    fs::set_permissions(scene.ctl.config(), fs::Permissions::from_mode(0o600))?;
    let words = ["cannot read the configuration", "Permission denied"];
    scene.unchanged(|| nobody.run_as_it_is(&scene, "apply"), 2, &words)
}

#[test]
fn a_second_instance_while_another_keeps_its_own() -> Result<()> {
    let scene = Scene::new()?;
    let _daemon = scene.ctl.daemon()?;
    let other = EniCtl::new(
        &scene.enis.vm,
        &format!("{}2", scene.name),
        &section(&ETH0, ""),
    )?;
    let words = ["keeps the policy routes of this host already", &scene.name];
    for verb in ["apply", "apply --confirm 1h"] {
        scene.unchanged(|| other.run(verb), 1, &words)?;
    }
    let before = Snapshot::take(&scene.enis.vm)?;
    let refused = other.daemon().err().context("a second daemon began")?;
    for word in words {
        anyhow::ensure!(format!("{refused:#}").contains(word), "{refused:#}");
    }
    Snapshot::take(&scene.enis.vm)?.expect_as(&before)
}

/// The program where everybody may run it.
struct Nobody {
    folder: TempDir,
}

impl Nobody {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        // By a process of its own: a child that another test starts meanwhile would hold the file open for writing, and
        // then nobody may run it.
        netns::output(Command::new("cp").arg(program()?).arg(folder.path()))?;
        Ok(Self { folder })
    }

    fn run(&self, scene: &Scene, verb: &str) -> Result<Ended> {
        fs::set_permissions(scene.ctl.config(), fs::Permissions::from_mode(0o644))?;
        self.run_as_it_is(scene, verb)
    }

    fn run_as_it_is(&self, scene: &Scene, verb: &str) -> Result<Ended> {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
        command.arg(self.folder.path().join("snat-ctl"));
        run_in(scene, &command, verb)
    }
}

/// Runs the verb by this command in the scene's namespace.
fn run_in(scene: &Scene, command: &Command, verb: &str) -> Result<Ended> {
    let mut inside = netns::command(scene.enis.vm.name(), command.get_program());
    inside
        .args(command.get_args())
        .args(["--name", &scene.name, "eni"])
        .args(verb.split_whitespace())
        .arg("--config")
        .arg(scene.ctl.config());
    scene.ctl.end(&mut inside, verb)
}
