//! The commands of a script as the rules and routes they would make.

use std::collections::BTreeMap;

use super::{
    Found, Note, Said,
    ip::{self, Meaning},
    net_tools,
    shell::{Command, commands},
    words::{Names, number},
};
use crate::eni::{Family, Rule};

/// Reads a script from its beginning.
pub(super) fn read(text: &str, tables: &BTreeMap<u32, String>) -> Found {
    let mut names = Names::new(tables);
    let mut found = Found::default();
    for command in commands(text) {
        match meaning(&command, &mut names) {
            Ok(Meaning::Nothing) => {}
            Ok(Meaning::Route(route)) => found.routes.push(Said {
                line: Some(command.line),
                what: *route,
            }),
            Ok(Meaning::Rule { mut rule, chosen }) => {
                if chosen {
                    rule.priority = next_priority(&found.rules, rule.family);
                }
                found.rules.push(Said {
                    line: Some(command.line),
                    what: *rule,
                });
            }
            Err(why) => found.notes.push(Note {
                line: Some(command.line),
                what: command.text,
                why,
            }),
        }
    }
    found
}

fn meaning(command: &Command, names: &mut Names) -> Result<Meaning, String> {
    if command.words.is_empty() {
        return Err("its quotes do not close".to_owned());
    }
    if command.text.contains(['$', '`']) {
        return Err("variables and what other commands print are not followed".to_owned());
    }
    let words = without_sudo(&command.words);
    let program = words
        .first()
        .map_or("", |word| word.rsplit('/').next().unwrap_or(word));
    let rest = words.get(1..).unwrap_or_default();
    match program {
        "ip" => ip::ip(rest, names),
        "route" => net_tools::route(rest),
        "echo" | "printf" => table_name(command, rest, names),
        "tee" if rest.iter().any(|word| word.contains("rt_tables")) => Ok(Meaning::Nothing),
        "exit" | "true" | ":" | "set" => Ok(Meaning::Nothing),
        _ => Err("not a command that is read here".to_owned()),
    }
}

fn without_sudo(words: &[String]) -> &[String] {
    match words {
        [first, rest @ ..] if first == "sudo" || first.ends_with("/sudo") => rest,
        _ => words,
    }
}

/// `echo "1001 eth1" >> /etc/iproute2/rt_tables`
fn table_name(command: &Command, words: &[String], names: &mut Names) -> Result<Meaning, String> {
    let into_tables = command.into.iter().any(|file| file.contains("rt_tables"));
    if !into_tables && !command.piped {
        return Err("not a command that is read here".to_owned());
    }
    let text = words
        .iter()
        .filter(|word| !word.starts_with('-'))
        .cloned()
        .collect::<Vec<_>>();
    let text = text.join(" ").replace("\\n", " ").replace("\\t", " ");
    match text.split_whitespace().collect::<Vec<_>>()[..] {
        [first, name] if number(first).is_some() => {
            names.learn(number(first).unwrap_or_default(), name);
            Ok(Meaning::Nothing)
        }
        _ => Err("not a table's number and name".to_owned()),
    }
}

/// What the kernel chooses: one before the first rule behind that of the local table (`fib_default_rule_pref`).
fn next_priority(rules: &[Said<Rule>], family: Family) -> u32 {
    const MAIN_TABLES: u32 = 32_766;
    let same = rules.iter().filter(|rule| rule.what.family == family);
    let lowest = same
        .map(|rule| rule.what.priority)
        .filter(|priority| *priority != 0)
        .min();
    lowest.unwrap_or(MAIN_TABLES).min(MAIN_TABLES) - 1
}
