//! Parts of the Rust toolchain that `cargo xtask test` needs and rustup's minimal profile lacks.

use std::{env, path::Path, process::Stdio};

use anyhow::{Result, ensure};

use crate::cargo::cargo;

/// A subcommand of cargo, and the programs it consists of.
struct Component {
    subcommand: &'static str,
    programs: [&'static str; 2],
}

const COMPONENTS: [Component; 2] = [
    Component {
        subcommand: "fmt",
        programs: ["cargo-fmt", "rustfmt"],
    },
    Component {
        subcommand: "clippy",
        programs: ["cargo-clippy", "clippy-driver"],
    },
];

/// Checks that formatting and lints can be checked.
///
/// # Errors
///
/// Which of them is missing, and the command that installs both.
pub(crate) fn require() -> Result<()> {
    let cargo = env::var_os("CARGO");
    let folder = cargo.as_ref().and_then(|cargo| Path::new(cargo).parent());
    refuse(&missing(folder, works))
}

/// Next to cargo, a file says as much as a run of it and takes no time. Anywhere else (rustup's proxies
/// are there whether or not the component is) only a run can tell.
fn missing(folder: Option<&Path>, works: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let beside = |program| folder.is_some_and(|dir| dir.join(program).is_file());
    COMPONENTS
        .iter()
        .filter(|component| !component.programs.into_iter().all(beside))
        .map(|component| component.subcommand)
        .filter(|subcommand| !works(subcommand))
        .collect()
}

fn works(subcommand: &str) -> bool {
    let mut command = cargo(subcommand);
    command.arg("--version");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn refuse(missing: &[&str]) -> Result<()> {
    let commands: Vec<_> = missing
        .iter()
        .map(|subcommand| format!("`cargo {subcommand}`"))
        .collect();
    ensure!(
        missing.is_empty(),
        "not working here: {}; `cargo xtask test` checks formatting and lints with that.\n\
         Run this, then the verb again:\n  rustup component add rustfmt clippy",
        commands.join(", ")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, process::id};

    use super::*;

    #[test]
    fn what_lies_next_to_cargo_is_not_run() {
        let folder = env::temp_dir().join(format!("snat-components-{}", id()));
        fs::create_dir_all(&folder).unwrap();
        for program in ["cargo-fmt", "rustfmt", "cargo-clippy"] {
            fs::write(folder.join(program), "").unwrap();
        }
        // One half of clippy is no clippy: cargo is asked.
        let asked = missing(Some(&folder), |subcommand| subcommand != "clippy");
        fs::write(folder.join("clippy-driver"), "").unwrap();
        let complete = missing(Some(&folder), |_| panic!("it was run"));
        fs::remove_dir_all(folder).unwrap();
        assert_eq!(asked, ["clippy"]);
        assert!(complete.is_empty(), "{complete:?}");
    }

    #[test]
    fn what_lies_elsewhere_counts_if_it_works() {
        assert!(missing(None, |_| true).is_empty());
        assert_eq!(missing(None, |subcommand| subcommand == "clippy"), ["fmt"]);
    }

    #[test]
    fn what_is_missing_is_named_with_the_command_that_installs_it() {
        assert!(refuse(&[]).is_ok());
        let text = refuse(&["fmt", "clippy"]).unwrap_err().to_string();
        assert!(
            text.starts_with("not working here: `cargo fmt`, `cargo clippy`;")
                && text.ends_with("\n  rustup component add rustfmt clippy"),
            "{text}"
        );
    }

    #[test]
    fn a_subcommand_that_cargo_does_not_have_does_not_work() {
        assert!(!works("no-such-subcommand-anywhere"));
    }
}
