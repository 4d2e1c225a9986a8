//! Configurations and notes that cannot be read, and folders that cannot be written.

use std::{fs, path::Path, process::Command};

use anyhow::{Result, ensure};
use snat_tests::{
    eni::{Snapshot, section},
    topology::enis::{ETH0, ETH1},
};

use super::Scene;

#[test]
fn a_configuration_that_is_wrong() -> Result<()> {
    let scene = Scene::new()?;
    let gateway = format!(
        "[gateway]\nname = {:?}\ninterfaces = [\"eth0\"]\n\
         [[snat]]\nname = \"a\"\nsource = [\"10.0.0.0/8\"]\nexternal = [\"auto\"]\n",
        scene.name
    );
    let unknown = "[[eni]]\nmatch = { name = \"eth1\" }\ntables = 1\n";
    for (config, words) in [
        ("[[eni]\n", "snat.toml:1: invalid TOML"),
        (
            "[[eni]]\ntable = 1001\n",
            "snat.toml:1: eni[1].match: missing",
        ),
        (unknown, "snat.toml:3: eni[1].tables: unknown key"),
        (&gateway, "has no [[eni]]"),
        ("", "snat.toml"),
    ] {
        scene.ctl.configure(config)?;
        for verb in ["plan", "apply", "verify", "render --format iproute2"] {
            scene.refuses(verb, 2, &[words])?;
        }
    }
    Ok(())
}

#[test]
fn two_interfaces_with_one_table() -> Result<()> {
    let scene = Scene::new()?;
    let alike = section(&ETH0, "").replace("1000", "1001") + &section(&ETH1, "");
    scene.ctl.configure(&alike)?;
    scene.refuses("apply", 2, &["eni[2].table: 1001"])
}

#[test]
fn a_configuration_that_cannot_be_read() -> Result<()> {
    let scene = Scene::new()?;
    let words = ["cannot read the configuration", "--config"];
    fs::remove_file(scene.ctl.config())?;
    scene.refuses("apply", 2, &words)?;
    fs::create_dir(scene.ctl.config())?;
    scene.refuses("apply", 2, &words)?;
    fs::remove_dir(scene.ctl.config())?;
    Ok(())
}

#[test]
fn notes_of_what_was_applied_that_are_damaged() -> Result<()> {
    let scene = Scene::new()?;
    scene.ctl.done("apply")?;
    for suffix in ["json", "pending"] {
        let path = format!("/run/snat/eni-{}.{suffix}", scene.cookie()?);
        let before = fs::read(&path).ok();
        fs::write(&path, "{ \"instance\": 7")?;
        let words = ["cannot understand", path.as_str(), "correct or remove it"];
        for verb in ["apply", "apply --confirm 1h", "status"] {
            scene.refuses(verb, 1, &words)?;
        }
        match before {
            Some(text) => fs::write(&path, text)?,
            None => fs::remove_file(&path)?,
        }
    }
    scene.ctl.done("verify").map(drop)
}

#[test]
fn remembered_tables_that_are_damaged() -> Result<()> {
    let scene = Scene::new()?;
    let prepare = "mount -t tmpfs none /var/lib && mkdir /var/lib/snat && echo '[' > /var/lib/snat/tables.json";
    let words = ["cannot understand /var/lib/snat/tables.json", "remove it"];
    for verb in ["plan", "apply"] {
        let run = || scene.ctl.end(&mut mounted(prepare, &scene, verb), verb);
        scene.unchanged(run, 1, &words)?;
    }
    Ok(())
}

#[test]
fn tables_that_cannot_be_remembered() -> Result<()> {
    let scene = Scene::new()?;
    scene
        .ctl
        .configure(&section(&ETH1, "").replace("table    = 1001", ""))?;
    let prepare = "mount -t tmpfs -o ro none /var/lib";
    let apply = || {
        scene
            .ctl
            .end(&mut mounted(prepare, &scene, "apply"), "apply")
    };
    let words = ["/var/lib/snat", "Read-only file system"];
    scene.unchanged(apply, 1, &words)?;
    // With a table of its own there is nothing to remember.
    scene.ctl.configure(&section(&ETH1, ""))?;
    apply()?.expect(0).map(drop)
}

#[test]
fn names_that_cannot_be_written_or_removed_are_only_a_warning() -> Result<()> {
    let scene = Scene::new()?;
    let before = Snapshot::take(&scene.enis.vm)?;
    let names = Path::new("/etc/iproute2/rt_tables.d/snat.conf");
    let prepare = format!(
        "mount -t tmpfs none {0} && mkdir -p {1} && echo '7 x' > {2} && mount -o remount,ro {0}",
        "/etc/iproute2",
        "/etc/iproute2/rt_tables.d",
        names.display()
    );
    for verb in ["apply", "remove"] {
        let ended = scene.ctl.end(&mut mounted(&prepare, &scene, verb), verb)?;
        ended
            .expect(0)?
            .says(&["warning: cannot", "Read-only file system"])?;
        ensure!((Snapshot::take(&scene.enis.vm)? == before) == (verb == "remove"));
    }
    Ok(())
}

/// The verb in a mount namespace of its own, after this was done in it.
fn mounted(prepare: &str, scene: &Scene, verb: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c"]);
    command.arg(format!("{prepare} && exec {:?}", scene.ctl.command(verb)));
    command
}
