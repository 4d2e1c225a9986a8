//! Several at once, and one that is killed half-way.

use std::{process::Stdio, thread, time::Duration};

use anyhow::{Result, ensure};

use crate::ground::{apply, connection, listen, speaks, text, two_addresses, write};

const ENTRY: &str = "[[snat]]\nname     = \"private\"";

/// Another configuration: more entries, other ports, in another order.
fn other(text: &str) -> String {
    let more: String = (0..40)
        .map(|number| {
            format!(
                "[[snat]]\nname = \"more-{number}\"\nsource = [\"172.17.{number}.0/24\"]\nexternal = [\"203.0.113.12\"]\nports = \"{}-{}\"\n\n",
                10_000 + 100 * (number % 2),
                20_000 + 100 * (number % 2),
            )
        })
        .collect();
    text.replacen(ENTRY, &format!("{more}{ENTRY}"), 1)
}

#[test]
fn of_two_at_once_both_are_done_one_after_the_other() -> Result<()> {
    let scene = two_addresses("tc").start()?;
    let listener = listen(&scene, 5001)?;
    let client = scene.topology.clients[0].addr;
    let mut connection = connection(&scene, &listener, client)?;
    let (one, two) = (text(&scene)?, other(&text(&scene)?));
    let folder = tempfile::tempdir()?;
    for round in 0..5 {
        let mut children = Vec::new();
        for (name, text) in [("one", &one), ("two", &two)] {
            let path = folder.path().join(name);
            std::fs::write(&path, text)?;
            let path = path.display().to_string();
            let mut command = scene.gateway.ctl_command(&["apply", "--config", &path]);
            children.push(command.stdout(Stdio::null()).spawn()?);
        }
        for mut child in children {
            ensure!(child.wait()?.success(), "round {round}");
        }
        speaks(&mut connection)?;
    }
    write(&scene, &one)?;
    apply(&scene)?;
    sources_are(&scene, 1)?;
    speaks(&mut connection)
}

#[test]
fn a_daemon_that_is_killed_half_way_leaves_what_the_next_one_finishes() -> Result<()> {
    let mut scene = two_addresses("tc").start()?;
    let listener = listen(&scene, 5001)?;
    let client = scene.topology.clients[0].addr;
    let mut connection = connection(&scene, &listener, client)?;
    let (one, two) = (text(&scene)?, other(&text(&scene)?));
    // Not to hit a certain moment: to be at another one each time.
    for pause in (0..10).map(|step| Duration::from_millis(step * 60)) {
        write(&scene, &two)?;
        let config = scene.gateway.config().display().to_string();
        let mut command = scene.gateway.ctl_command(&["apply", "--config", &config]);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        thread::sleep(pause);
        scene.gateway.kill()?;
        child.wait()?;
        speaks(&mut connection)?;
        // Half with the file that was being applied, by a daemon; half with the one before, without.
        if pause.as_millis() % 120 == 0 {
            scene.gateway.start_again()?;
            sources_are(&scene, 41)?;
        }
        write(&scene, &one)?;
        apply(&scene)?;
        sources_are(&scene, 1)?;
        speaks(&mut connection)?;
        if pause.as_millis() % 120 != 0 {
            scene.gateway.start_again()?;
        }
    }
    Ok(())
}

/// So many prefixes lead to entries, and to no more.
fn sources_are(scene: &snat_tests::scene::Scene, count: usize) -> Result<()> {
    let path = scene.gateway.pins().join("SOURCES");
    let shown =
        snat_tests::observe::bpftool(&["map", "dump", "pinned", &path.display().to_string()])?;
    let found = shown.as_array().map_or(0, Vec::len);
    ensure!(found == count, "{found} sources, not {count}");
    Ok(())
}
