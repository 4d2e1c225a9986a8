//! What is not taken over, and what is refused before anything is changed.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use snat_tests::{
    gateway::{Gateway, nft_masquerade, program},
    session::LineServer,
    traffic::SSH,
};

use crate::{
    crowd::{Crowd, Line},
    ground::Ground,
};

#[test]
fn nothing_to_take_over_is_no_error_and_adopting_twice_changes_nothing() -> Result<()> {
    let ground = Ground::build("tc", "", "")?;
    let none = ground.adopt_ends(0, &["--plan"])?;
    ensure!(
        none["taken_over"] == 0 && none["adopted"] == false,
        "{none}"
    );
    ensure!(!loaded(&ground), "a plan has loaded something");

    let _lines = LineServer::start(&ground.topology.server.netns, SSH)?;
    nft_masquerade(&ground.topology)?;
    let mut crowd = Crowd::open(&ground, 4, 0)?;
    let first = ground.adopt_ends(0, &[])?;
    ensure!(first["taken_over"] == 4, "{first}");
    let flows = ground.flows()?;
    let again = ground.adopt_ends(0, &[])?;
    ensure!(
        again["taken_over"] == 0 && again["adopted"] == true,
        "{again}"
    );
    ensure!(ground.flows()? == flows);
    crowd.talk()
}

#[test]
fn what_would_be_cut_is_named_and_nothing_is_changed() -> Result<()> {
    let mut ground = Ground::build("tc", "", "")?;
    ground.replace("[\"auto\"]", "[\"203.0.113.99\"]")?;
    ground.gw().ip("addr add 203.0.113.99/32 dev eth0")?;
    let _lines = LineServer::start(&ground.topology.server.netns, SSH)?;
    nft_masquerade(&ground.topology)?;
    let mut crowd = Crowd::open(&ground, 12, 0)?;
    for arguments in [&["--plan"][..], &[]] {
        let plan = ground.adopt_ends(3, arguments)?;
        let cut = reason(&plan, "external")?;
        ensure!(cut["count"] == 12, "{plan}");
        let examples = cut["examples"].as_array().context("no examples")?;
        ensure!(examples.len() == 10, "{plan}");
        ensure!(
            examples[0]["external"]
                .as_str()
                .is_some_and(|addr| addr.starts_with("203.0.113.10:"))
        );
        ensure!(plan["taken_over"] == 0, "{plan}");
        ensure!(!loaded(&ground), "something was loaded");
    }
    crowd.talk()?;
    ground.adopt_ends(0, &["--anyway"])?;
    ensure!(loaded(&ground));
    ensure!(crowd.lines[0].talk().is_err(), "it was to be cut");
    Ok(())
}

#[test]
fn a_forwarded_connection_is_taken_over_if_the_configuration_forwards_it() -> Result<()> {
    let mut ground = Ground::build("tc", "", "")?;
    let client = &ground.topology.clients[0];
    let _lines = LineServer::start(&client.netns, SSH)?;
    ground.gw().nft(
        "table ip nat { chain pre { type nat hook prerouting priority dstnat;
             iifname \"eth0\" tcp dport 8443 dnat to 172.16.1.11:22; }
         }",
    )?;
    let external = ground.topology.external;
    let server = &ground.topology.server.netns;
    let mut line = server.enter(|| Line::open((external, 8443).into()))?;
    let plan = ground.adopt_ends(3, &["--plan"])?;
    ensure!(reason(&plan, "no_forward")?["count"] == 1, "{plan}");

    ground.configure(
        "[[forward]]\nprotocol = \"tcp\"\nexternal = \"203.0.113.10:8443\"\ninternal = \"172.16.1.11:22\"\n",
    )?;
    let done = ground.adopt_ends(0, &[])?;
    ensure!(done["taken_over"] == 1, "{done}");
    ground.no_rules()?;
    line.talk()
}

#[test]
fn a_table_that_is_too_small_is_refused_as_a_whole() -> Result<()> {
    let ground = Ground::build("tc", "max_flows = 16", "")?;
    let _lines = LineServer::start(&ground.topology.server.netns, SSH)?;
    nft_masquerade(&ground.topology)?;
    let mut crowd = Crowd::open(&ground, 17, 0)?;
    ground.adopt_ends(3, &["--plan"])?;
    let refused = ground.adopt(&[])?;
    let said = String::from_utf8_lossy(&refused.stderr);
    ensure!(
        refused.status.code() == Some(1) && said.contains("max_flows is 16"),
        "{said}"
    );
    ensure!(!loaded(&ground), "something was loaded");
    crowd.talk()
}

#[test]
fn a_daemon_at_work_is_not_disturbed() -> Result<()> {
    let ground = Ground::build("tc", "", "")?;
    let gateway = Gateway::start_with(&ground.topology, ground.name(), &ground.text()?)?;
    let refused = ground.adopt(&[])?;
    let said = String::from_utf8_lossy(&refused.stderr);
    ensure!(
        refused.status.code() == Some(1) && said.contains("already running"),
        "{said}"
    );
    ensure!(gateway.ctl_json(&["status"])?["daemon"] == gateway.pid());
    Ok(())
}

#[test]
fn who_may_not_read_the_kernels_connections_is_told_so() -> Result<()> {
    let ground = Ground::build("tc", "", "")?;
    let dir = tempfile::tempdir()?;
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
    let (own, config) = (dir.path().join("snat-ctl"), dir.path().join("snat.toml"));
    fs::copy(program()?, &own)?;
    fs::write(&config, ground.text()?)?;
    let mut command = ground.gw().command("setpriv");
    command.args(["--reuid", "65534", "--clear-groups", "--inh-caps=-all"]);
    let ended = command
        .arg(&own)
        .args(["adopt", "--plan", "--config"])
        .arg(&config)
        .output()?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(
        ended.status.code() == Some(1) && said.contains("run as root"),
        "{said}"
    );
    Ok(())
}

fn loaded(ground: &Ground) -> bool {
    Path::new("/sys/fs/bpf/snat").join(ground.name()).exists()
}

fn reason<'a>(plan: &'a Value, reason: &str) -> Result<&'a Value> {
    let cut = plan["cut"].as_array().context("no cut")?;
    let found = cut.iter().find(|cut| cut["reason"] == reason);
    found.with_context(|| format!("nothing is cut for {reason}: {plan}"))
}
