//! Calls of cargo, in the workspace's folder.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A program that cargo has built.
pub(crate) struct Built {
    /// The file.
    pub(crate) executable: PathBuf,
    /// Whether it is a test harness.
    pub(crate) test: bool,
}

/// The cargo that runs us, with a subcommand.
pub(crate) fn cargo(subcommand: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.arg(subcommand).current_dir(workspace());
    command
}

/// Runs a command whose messages the person sees; fails if it does.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = line(command);
    let status = command
        .status()
        .with_context(|| format!("starting `{line}` failed"))?;
    ensure!(
        status.success(),
        "`{line}` failed ({status}); see its messages above"
    );
    Ok(())
}

/// Runs a cargo that builds, and returns the programs it built, or found to be fresh.
pub(crate) fn build(command: &mut Command) -> Result<Vec<Built>> {
    command
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit());
    let line = line(command);
    let output = command
        .output()
        .with_context(|| format!("starting `{line}` failed"))?;
    ensure!(
        output.status.success(),
        "`{line}` failed ({}); see its messages above",
        output.status
    );
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(built)
        .collect())
}

/// The workspace's folder.
pub(crate) fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

fn built(message: &str) -> Option<Built> {
    let message: Value = serde_json::from_str(message).ok()?;
    Some(Built {
        executable: message.get("executable")?.as_str()?.into(),
        test: message.pointer("/profile/test")?.as_bool()?,
    })
}

/// The command as a person would write it.
pub(crate) fn line(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .map(OsStr::to_string_lossy);
    let args = command.get_args().map(OsStr::to_string_lossy);
    program
        .into_iter()
        .chain(args)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::built;

    #[test]
    fn programs_are_taken_from_cargos_messages() {
        let message =
            r#"{"reason":"compiler-artifact","executable":"/t/deps/x-1","profile":{"test":true}}"#;
        let program = built(message).unwrap();
        assert_eq!(
            (program.executable.to_str(), program.test),
            (Some("/t/deps/x-1"), true)
        );
    }

    #[test]
    fn libraries_and_other_messages_are_no_programs() {
        for message in [
            r#"{"reason":"compiler-artifact","executable":null,"profile":{"test":false}}"#,
            r#"{"reason":"build-finished","success":true}"#,
            "running 3 tests",
        ] {
            assert!(built(message).is_none(), "{message}");
        }
    }
}
