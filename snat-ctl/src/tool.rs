//! Programs of the system that are asked what only they know.

use std::{
    fs, io,
    process::{Command, Stdio},
};

/// Runs a program of the system's folders, which an unprivileged user's `PATH` may lack, and gives what it printed.
///
/// # Errors
///
/// In a sentence, why it told nothing.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().next().unwrap_or("no reason given").trim();
            Err(format!("{program} failed: {said}"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(format!("{program} is not installed"))
        }
        Err(error) => Err(format!("cannot run {program}: {error}")),
    }
}

/// The tables of iptables' legacy kind that the kernel has here: `names` is `ip_tables_names` or `ip6_tables_names`. To
/// ask the program for one that is not there would make it.
pub(crate) fn legacy_tables(names: &str) -> Vec<String> {
    let tables = fs::read_to_string(format!("/proc/thread-self/net/{names}")).unwrap_or_default();
    tables.lines().map(str::to_owned).collect()
}
