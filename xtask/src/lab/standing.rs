//! A lab that stays: how to enter it, and the process that keeps it.

use std::{fs::File, io::stdin, process};

use anyhow::{Context as _, Result};
use nix::{
    sys::prctl::set_pdeathsig,
    unistd::{dup2_stderr, dup2_stdin, dup2_stdout, setsid, write},
};
use serde_json::{Map, Value, json};
use snat_tests::{gateway, lab::Standing};
use tokio::{runtime, signal::unix};

/// For machines: how to enter each namespace, and whom to end.
pub(super) fn document(standing: &dyn Standing) -> Value {
    let enter: Map<_, _> = entrances(standing)
        .map(|(name, line)| (name, line.into()))
        .collect();
    json!({ "pid": process::id(), "enter": enter })
}

/// The same for people.
pub(super) fn print(standing: &dyn Standing) -> Result<()> {
    println!("\nLeft standing, its servers still serving. To enter it, as root:\n");
    for (name, line) in entrances(standing) {
        println!("    {name:9} {line} bash");
    }
    println!(
        "\nIn there, for example: {} {}",
        gateway::program()?.display(),
        standing.example()
    );
    println!("To take it all down: kill {}", process::id());
    Ok(())
}

/// Gives the verdict to the process that waits for it, lets go of the terminal, and stays until SIGTERM.
pub(super) fn stay(ok: bool) -> Result<()> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut terminate = {
        let _inside = runtime.enter();
        unix::signal(unix::SignalKind::terminate())?
    };
    set_pdeathsig(None).context("asking to outlive the parent (prctl) failed")?;
    // Fails for a leader of a process group, which has no terminal to lose.
    setsid().ok();
    write(stdin(), &[u8::from(!ok)]).context("giving the verdict failed")?;
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .context("opening /dev/null failed")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    runtime.block_on(terminate.recv());
    Ok(())
}

/// The BPF file system is in the mount namespace, and so are the names of the network namespaces.
fn entrances(standing: &dyn Standing) -> impl Iterator<Item = (String, String)> {
    let pid = process::id();
    standing.namespaces().into_iter().map(move |netns| {
        let path = netns.path();
        (
            netns.name().to_owned(),
            format!(
                "nsenter --mount=/proc/{pid}/ns/mnt --net=/proc/{pid}/root{}",
                path.display()
            ),
        )
    })
}
