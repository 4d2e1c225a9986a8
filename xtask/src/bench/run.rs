//! The part of `cargo xtask bench` that needs root: a large connection tracking, then the sandbox.

use std::{
    env,
    ffi::OsString,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, ExitStatus},
    time::Duration,
};

use anyhow::{Context as _, Error, Result, ensure};
use nix::{
    sys::signal::{Signal::SIGKILL, killpg},
    unistd::Pid,
};
use tokio::{
    select,
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};

use crate::{
    bench::conntrack::Enlarged,
    sandbox::{self, Sandbox},
};

/// How often is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(100);

/// Options of the hidden verb.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The gateway to measure
    #[arg(long)]
    snat_ctl: PathBuf,
    /// This is the process in the sandbox, and connection tracking is large enough for so many
    #[arg(long)]
    tracked: Option<u32>,
    /// `snat-bench` and its options
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Runs it. Whatever happens, connection tracking is afterwards as it was.
pub(crate) fn main(args: &Args) -> Result<()> {
    if let Some(tracked) = args.tracked {
        return Err(measure(args, tracked));
    }
    sandbox::as_root()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        // From here on a signal ends what we started, and only then us.
        let mut end = Ends::new()?;
        let enlarged = Enlarged::make();
        let child = inside(args, enlarged.entries())?;
        let status = end.wait(child).await?;
        drop(enlarged);
        ensure!(
            status.success(),
            "the bench ended with {status}; see its messages above"
        );
        Ok(())
    })
}

/// Becomes the bench, in a sandbox; comes back only with an error.
fn measure(args: &Args, tracked: u32) -> Error {
    let sandbox = Sandbox {
        network: true,
        // The kernel's threads that poll are placed by their ids, which another PID namespace does not have.
        processes: false,
    };
    if let Err(error) = sandbox::enter(sandbox) {
        return error;
    }
    let [program, options @ ..] = &args.command[..] else {
        return Error::msg("no program to run");
    };
    let error = Command::new(program)
        .args(options)
        .arg("--tracked")
        .arg(tracked.to_string())
        .env("SNAT_CTL", &args.snat_ctl)
        .exec();
    Error::new(error).context(format!("starting {} failed", program.display()))
}

fn inside(args: &Args, tracked: u32) -> Result<Child> {
    let program = env::current_exe().context("finding this program's file failed")?;
    Command::new(program)
        .args(["run-bench", "--tracked", &tracked.to_string()])
        .arg("--snat-ctl")
        .arg(&args.snat_ctl)
        .arg("--")
        .args(&args.command)
        // For `end_all`.
        .process_group(0)
        .spawn()
        .context("starting this program again failed")
}

/// The signals that a person, a terminal or a supervisor ends us with.
struct Ends {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Ends {
    fn new() -> Result<Self> {
        let on = |kind| signal(kind).context("asking for signals failed");
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            hangup: on(SignalKind::hangup())?,
        })
    }

    /// Waits for the child's end, which a signal hastens; nothing that it started is left then.
    async fn wait(&mut self, mut child: Child) -> Result<ExitStatus> {
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break Some(status);
            }
            select! {
                () = sleep(LOOK) => {}
                _ = self.interrupt.recv() => break None,
                _ = self.terminate.recv() => break None,
                _ = self.hangup.recv() => break None,
            }
        };
        end_all(&child);
        child.wait()?;
        status.context("interrupted; nothing was left behind")
    }
}

/// There is no PID namespace that would end with its first process. The sandbox's other namespaces end with its last.
fn end_all(child: &Child) {
    // Nobody there is what is wanted.
    killpg(Pid::from_raw(child.id().cast_signed()), SIGKILL).ok();
}
