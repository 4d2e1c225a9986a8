//! `cargo xtask bench`: builds the gateway and what measures it, and runs that in a sandbox.

mod conntrack;
pub(crate) mod run;

use std::{env, ffi::OsString, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};

use crate::{
    cargo::{self, cargo},
    setup,
};

/// Options of the verb.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How often everything is measured, in turn
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Measure only these; a name that does not exist is answered with those that do
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Only see that all of it works: one short round, whose numbers mean little
    #[arg(long)]
    quick: bool,
    /// Write the results there as JSON, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Folder of results.json, table.md and the plots
    #[arg(long, value_name = "DIR", default_value_os_t = cargo::workspace().join("target/bench"))]
    out: PathBuf,
}

/// Measures; the report goes to standard output.
pub(crate) fn main(args: &Args) -> Result<()> {
    setup::ensure()?;
    setup::ensure_for_bench()?;
    let built = cargo::build(cargo("build").args([
        "--release",
        "--package",
        "snat-ctl",
        "--package",
        "snat-bench",
    ]))?;
    let program = |name: &str| {
        let mut files = built.iter().map(|built| &built.executable);
        files
            .find(|file| file.file_name().is_some_and(|file| file == name))
            .with_context(|| format!("cargo built no {name}"))
    };
    let bench = program("snat-bench")?;
    let object = ebpf_build::folder(&ebpf_build::target_dir(bench)).join(ebpf_build::BENCH);
    let mut run = Command::new(env::current_exe().context("finding this program's file failed")?);
    run.arg("run-bench")
        .arg("--snat-ctl")
        .arg(program("snat-ctl")?)
        .arg("--")
        .arg(bench)
        .arg("--object")
        .arg(object)
        .args(args.options());
    cargo::run(&mut run)
}

impl Args {
    /// The same, for `snat-bench`.
    fn options(&self) -> Vec<OsString> {
        let mut options: Vec<OsString> = vec!["--rounds".into(), self.rounds.to_string().into()];
        if !self.only.is_empty() {
            options.extend(["--only".into(), self.only.join(",").into()]);
        }
        if self.quick {
            options.push("--quick".into());
        }
        if let Some(file) = &self.json {
            options.extend(["--json".into(), file.into()]);
        }
        options.extend(["--out".into(), self.out.clone().into()]);
        options
    }
}
