//! The command line as a caller sees it: streams and exit codes. Needs neither root nor a network.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

fn snat_ctl(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_snat-ctl"))
        .args(args)
        .output()
        .expect("the binary runs")
}

fn stdout(output: &Output) -> &str {
    str::from_utf8(&output.stdout).expect("UTF-8")
}

fn stderr(output: &Output) -> &str {
    str::from_utf8(&output.stderr).expect("UTF-8")
}

/// A directory of the test's own, removed with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Self {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
        // What an aborted run left behind.
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("a directory for the test");
        Self(dir)
    }

    fn file(&self, text: &str) -> String {
        let path = self.0.join("snat.toml");
        fs::write(&path, text).expect("the test's file");
        path.display().to_string()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn wrong_usage_exits_2_and_says_so_on_stderr() {
    for args in [
        &["frobnicate"][..],
        &["status", "--frob"],
        &["--name", "UP", "status"],
        &["flows", "--source", "172.16.4.300"],
        &["flows", "--state", "sleeping"],
        &["flows", "list", "--sort", "colour"],
        &["flows", "watch", "--interval", "0s"],
        &["flows", "show", "tcp", "172.16.4.9:port"],
        &["pools", "--limit", "all"],
        &["top", "--view", "all"],
        &["top", "--filter", "port=https"],
        &["top", "--view", "pools", "--sort", "bytes"],
        &[],
    ] {
        let output = snat_ctl(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_eq!(stdout(&output), "", "{args:?}");
        assert!(!stderr(&output).is_empty(), "{args:?}");
    }
}

#[test]
fn a_wrong_configuration_exits_2_with_one_line_per_problem() {
    let scratch = Scratch::new("wrong-configuration");
    let config = scratch.file("[gateway]\ninterfaces=[]\n[[snat]]\nsource=['10.0.0.1/8']\n");
    let output = snat_ctl(&["check", "--config", &config]);
    assert_eq!(output.status.code(), Some(2));
    let lines: Vec<_> = stderr(&output).lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with(&format!("error: {config}:2: gateway.interfaces: ")));
    assert!(lines[1].starts_with(&format!("error: {config}:4: snat[1].source[1]: ")));
}

#[test]
fn a_missing_configuration_and_another_instances_exit_2() {
    let missing = snat_ctl(&["check", "--config", "/no/such/snat.toml"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(
        stderr(&missing).starts_with("error: cannot read the configuration /no/such/snat.toml")
    );

    let scratch = Scratch::new("other-instance");
    let config = scratch.file("[gateway]\ninterfaces=['eth0']\n[[snat]]\nsource=['10.0.0.0/8']\n");
    let other = snat_ctl(&["check", "--name", "blue", "--config", &config]);
    assert_eq!(other.status.code(), Some(2));
    assert!(
        stderr(&other).contains("is for instance \"default\""),
        "{}",
        stderr(&other)
    );
}

#[test]
fn check_exits_3_and_names_the_interface_that_is_not_there() {
    let scratch = Scratch::new("check-fatal");
    let config = scratch.file(
        "[gateway]\nname='blue'\ninterfaces=['no-such-if']\n[[snat]]\nsource=['10.0.0.0/8']\n",
    );
    let table = snat_ctl(&["check", "--config", &config]);
    assert_eq!(table.status.code(), Some(3));
    let wanted = format!("{config}:3: gateway.interfaces: there is no interface \"no-such-if\"");
    // Lines are broken at spaces.
    let told: Vec<_> = stdout(&table).split_whitespace().collect();
    assert!(told.join(" ").contains(&wanted), "{}", stdout(&table));
    assert!(
        !stdout(&table).contains('\u{1b}'),
        "no colour off a terminal"
    );

    let json = snat_ctl(&["check", "--json", "--config", &config]);
    assert_eq!(json.status.code(), Some(3));
    let report: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(report["instance"], "blue");
    assert_eq!(report["ready"], false);
    let findings = report["findings"].as_array().expect("a list");
    let missing = findings
        .iter()
        .find(|finding| finding["id"] == "interface.exists")
        .unwrap();
    assert_eq!(missing["severity"], "fatal");
    assert_eq!(missing["subject"], "no-such-if");
    for finding in findings {
        let names: Vec<_> = finding
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(names, ["fix", "id", "severity", "subject", "what", "why"]);
        assert_eq!(
            finding["fix"].is_null(),
            finding["severity"] == "ok",
            "{finding}"
        );
    }
}

#[test]
fn help_lists_what_is_built_and_nothing_else() {
    let output = snat_ctl(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let commands: Vec<_> = stdout(&output)
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        // What is further to the right goes on about the verb above.
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|verb| !verb.is_empty())
        .collect();
    let wanted = [
        "check",
        "run",
        "adopt",
        "apply",
        "status",
        "explain",
        "flows",
        "pools",
        "drops",
        "top",
        "metrics",
        "import",
        "eni",
        "unload",
        "completions",
        "man",
        "help",
    ];
    assert_eq!(commands, wanted);
}

#[test]
fn completions_exist_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = snat_ctl(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0), "{shell}");
        assert!(stdout(&output).contains("detach-on-exit"), "{shell}");
    }
}

#[test]
fn man_prints_all_pages_or_writes_one_per_command() {
    let scratch = Scratch::new("man");
    let dir = scratch.0.join("made/for/it");
    let output = snat_ctl(&["man", &dir.display().to_string()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let mut names: Vec<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    let wanted = [
        "snat-ctl-adopt.1",
        "snat-ctl-apply.1",
        "snat-ctl-check.1",
        "snat-ctl-completions.1",
        "snat-ctl-drops.1",
        "snat-ctl-eni-apply.1",
        "snat-ctl-eni-confirm.1",
        "snat-ctl-eni-import.1",
        "snat-ctl-eni-plan.1",
        "snat-ctl-eni-remove.1",
        "snat-ctl-eni-render.1",
        "snat-ctl-eni-revert.1",
        "snat-ctl-eni-status.1",
        "snat-ctl-eni-verify.1",
        "snat-ctl-eni.1",
        "snat-ctl-explain.1",
        "snat-ctl-flows-flush.1",
        "snat-ctl-flows-list.1",
        "snat-ctl-flows-show.1",
        "snat-ctl-flows-watch.1",
        "snat-ctl-flows.1",
        "snat-ctl-import.1",
        "snat-ctl-man.1",
        "snat-ctl-metrics.1",
        "snat-ctl-pools.1",
        "snat-ctl-run.1",
        "snat-ctl-status.1",
        "snat-ctl-top.1",
        "snat-ctl-unload.1",
        "snat-ctl.1",
    ];
    assert_eq!(names, wanted);
    let printed = snat_ctl(&["man"]);
    for name in names {
        let page = fs::read_to_string(dir.join(name)).unwrap();
        assert!(stdout(&printed).contains(&page));
    }
}

#[test]
fn a_reader_that_leaves_early_ends_the_command_in_silence() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let child = Command::new(env!("CARGO_BIN_EXE_snat-ctl"))
        .arg("man")
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(stderr(&output), "");
    assert_eq!(output.status.code(), Some(0));
}
