//! `cargo xtask setup`: finds or makes the eBPF toolchain, and the programs that lab and tests run.

use anyhow::{Context, Result, bail};
use ebpf_build::{Toolchain, distribution, linker};

use crate::{
    apt::Apt,
    cargo, components, kept,
    tools::{self, Tool},
};

const AGAIN: &str = "Run the commands above, then: cargo xtask setup";

/// The verb: [`ensure`], what only `test` needs, and say what there is.
pub(crate) fn main() -> Result<()> {
    let toolchain = ensure()?;
    components::require()?;
    ensure_for_tests()?;
    println!("eBPF toolchain: {toolchain}");
    println!("programs: {}", tools::names());
    Ok(())
}

/// Every other verb's first step: quick and silent when nothing is missing.
///
/// # Errors
///
/// Something is missing and cannot be installed here; the error has the commands for the person to run.
pub(crate) fn ensure() -> Result<Toolchain> {
    let missing = tools::missing(tools::LAB);
    match Toolchain::find() {
        Ok(toolchain) if missing.is_empty() => Ok(toolchain),
        found => {
            let installed = Apt::find().and_then(|apt| install(&apt, &missing, found.is_ok()));
            finish(installed)
        }
    }
}

/// What `test` needs besides: silent when nothing is missing.
///
/// # Errors
///
/// As for [`ensure`].
pub(crate) fn ensure_for_tests() -> Result<()> {
    let missing = tools::missing(tools::TESTS);
    if missing.is_empty() && kept::missing().is_empty() {
        return Ok(());
    }
    let installed = Apt::find().and_then(|apt| {
        for tool in missing {
            apt.install(tool.packages, tool.why)?;
        }
        kept::missing()
            .iter()
            .try_for_each(|program| program.install(&apt))
    });
    let mut problem = tools::commands(&tools::missing(tools::TESTS));
    for program in kept::missing() {
        problem += &format!("\n  - {}:\n      {}", program.name, program.command);
    }
    match installed {
        _ if problem.is_empty() => Ok(()),
        Ok(()) => bail!("missing programs:\n{problem}\n{AGAIN}"),
        Err(error) => bail!(
            "missing programs:\n{problem}\nThey could not be installed for you: {error:#}.\n{AGAIN}"
        ),
    }
}

/// What `bench` needs besides: silent when nothing is missing.
///
/// # Errors
///
/// As for [`ensure`].
pub(crate) fn ensure_for_bench() -> Result<()> {
    ensure_also(tools::BENCH, "cargo xtask bench")
}

/// What `dist --test` needs besides: silent when nothing is missing.
///
/// # Errors
///
/// As for [`ensure`].
pub(crate) fn ensure_for_trial() -> Result<()> {
    ensure_also(tools::TRIAL, "cargo xtask dist --test")
}

fn ensure_also(tools: &'static [Tool], verb: &str) -> Result<()> {
    let missing = tools::missing(tools);
    if missing.is_empty() {
        return Ok(());
    }
    let commands = tools::commands(&missing);
    Apt::find()
        .and_then(|apt| {
            missing
                .iter()
                .try_for_each(|tool| apt.install(tool.packages, tool.why))
        })
        .with_context(|| {
            format!(
                "missing programs:\n{commands}\nThey could not be installed for you.\n\
                 Run the commands above, then: {verb}"
            )
        })
}

fn install(apt: &Apt, tools: &[&Tool], have_toolchain: bool) -> Result<()> {
    for tool in tools {
        apt.install(tool.packages, tool.why)?;
    }
    if have_toolchain {
        return Ok(());
    }
    if distribution::rustc().is_none() {
        let [rustc, core] = distribution::PACKAGES;
        apt.require(rustc, distribution::new_enough)?;
        apt.install(&[rustc, core], "the compiler for eBPF, and core for BPF")?;
    }
    let rustc = distribution::rustc()
        .context("the packages are installed, but /usr/bin/rustc has no core for BPF")?;
    if linker::cached(rustc.llvm).is_none() {
        install_linker(apt, rustc.llvm)?;
    }
    Ok(())
}

fn install_linker(apt: &Apt, llvm: u32) -> Result<()> {
    let install = linker::Install::new(llvm).with_context(|| {
        format!(
            "bpf-linker {} cannot be built for LLVM {llvm}",
            linker::VERSION
        )
    })?;
    if !linker::llvm_prefix(llvm).join("bin/llvm-config").exists() {
        let package = linker::llvm_package(llvm);
        apt.install(&[&package], "the LLVM of that compiler, for bpf-linker")?;
    }
    eprintln!(
        "installing bpf-linker {}: links eBPF objects and writes their BTF (a minute or two)",
        linker::VERSION
    );
    cargo::run(&mut install.command())
}

/// Looks again: whatever went wrong in between, only what is missing now counts.
fn finish(installed: Result<()>) -> Result<Toolchain> {
    let tools = tools::missing(tools::LAB);
    let toolchain = Toolchain::find();
    let mut problem = match toolchain {
        Ok(toolchain) if tools.is_empty() => return Ok(toolchain),
        Ok(_) => String::new(),
        Err(missing) => format!("{missing}\n"),
    };
    if !tools.is_empty() {
        problem += &format!("missing programs:\n{}\n", tools::commands(&tools));
    }
    match installed {
        Ok(()) => bail!("{problem}{AGAIN}"),
        Err(error) => bail!("{problem}They could not be installed for you: {error:#}.\n{AGAIN}"),
    }
}
