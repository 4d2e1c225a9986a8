//! Help, manual and completions of every verb, those to come included: all are made from the same source.

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

use clap::CommandFactory as _;
use snat_ctl::cli::Cli;

/// Every verb that does something, as `snat-ctl flows list`.
fn verbs() -> Vec<clap::Command> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let mut verbs = Vec::new();
    collect(&root, &mut verbs);
    verbs
}

fn collect(command: &clap::Command, verbs: &mut Vec<clap::Command>) {
    let below = |verb: &&clap::Command| !verb.is_hide_set() && verb.get_name() != "help";
    for verb in command.get_subcommands().filter(below) {
        verbs.push(verb.clone());
        collect(verb, verbs);
    }
}

fn words(verb: &clap::Command) -> Vec<&str> {
    let words = verb.get_bin_name().expect("built").split(' ');
    words.skip(1).collect()
}

fn snat_ctl(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_snat-ctl"))
        .args(args)
        .output()
        .expect("the binary runs")
}

#[test]
fn help_of_every_verb_has_an_example_of_that_verb() {
    for verb in verbs() {
        let words = words(&verb);
        let output = snat_ctl(&[&words[..], &["--help"]].concat());
        assert_eq!(output.status.code(), Some(0), "{words:?}");
        let help = String::from_utf8_lossy(&output.stdout);
        let example = format!("snat-ctl {}", words.join(" "));
        let examples = help.split_once("Examples:\n").map(|(_, examples)| examples);
        let examples = examples.unwrap_or_else(|| panic!("no examples: {help}"));
        assert!(examples.contains(&example), "{example}: {help}");
    }
}

#[test]
fn every_option_says_what_it_is_for() {
    for verb in verbs() {
        for argument in verb.get_arguments() {
            let said = argument.get_help().is_some();
            assert!(said, "{} {}", verb.get_name(), argument.get_id());
        }
    }
}

#[test]
fn completions_know_every_verb() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = snat_ctl(&["completions", shell]);
        let script = String::from_utf8_lossy(&output.stdout);
        for verb in verbs() {
            let name = verb.get_name();
            assert!(script.contains(name), "{shell} does not know {name}");
        }
    }
}

#[test]
fn the_manual_is_typeset_without_a_warning() {
    let page = snat_ctl(&["man"]).stdout;
    let groff = Command::new("groff")
        .args(["-man", "-Tutf8", "-ww", "-z"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    // Not on every machine.
    let Ok(mut groff) = groff else {
        eprintln!("not shown: there is no groff here");
        return;
    };
    let mut input = groff.stdin.take().expect("its input");
    input.write_all(&page).expect("it reads");
    drop(input);
    let output = groff.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
