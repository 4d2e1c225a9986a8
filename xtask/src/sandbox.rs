//! Namespaces around the lab and the tests, so that nothing of theirs can stay behind, whatever happens.
//!
//! Named network namespaces, pinned BPF objects and mounts live in file systems that only the sandbox sees
//! and that end with its last process. With a PID namespace that is assured too: the kernel kills all
//! processes of it when the first one ends, and the first one dies with whoever started it.

use std::{
    env, fs,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, exit, id},
};

use anyhow::{Context, Error, Result};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::{prctl::set_pdeathsig, signal::Signal},
    unistd::Uid,
};

use crate::cargo;

/// Says to the process started in a new PID namespace that it is the one.
const INSIDE: &str = "SNAT_SANDBOX";

/// Folders that the program under test writes to (`iproute2/rt_tables.d`, `snat`): what is there is seen, and what
/// is changed is ours alone.
const OVERLAID: [&str; 2] = ["/etc", "/var/lib"];

/// What the sandbox has of its own besides mounts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sandbox {
    /// A network namespace with nothing but `lo`: the machine's network cannot be touched. And a cgroup namespace:
    /// its root is the cgroup that this process is in.
    pub(crate) network: bool,
    /// A PID namespace: no process outlives the one that called [`enter`].
    pub(crate) processes: bool,
}

/// Moves this process into a sandbox with its own `/sys/fs/bpf` and `/run`, and its own changes in [`OVERLAID`] folders.
///
/// To become root, and to become the first process of a PID namespace, the program is started again with
/// the same arguments; the first process then waits, ends with the same code and never returns from here.
/// So call this first, from the main thread, before anything is printed.
///
/// # Errors
///
/// The system call that failed, and what it was for.
pub(crate) fn enter(sandbox: Sandbox) -> Result<()> {
    as_root()?;
    // Both: a container's first process may be us, and a shell inside a sandbox has the variable.
    let inside = env::var_os(INSIDE).is_some() && id() == 1;
    if sandbox.processes {
        set_pdeathsig(Signal::SIGKILL).context("asking to die with the parent (prctl) failed")?;
    }
    if !inside {
        // Asked now: in a new mount namespace the system may name the file by a path that is not there.
        let program = env::current_exe().context("finding this program's file failed")?;
        isolate(sandbox)?;
        if sandbox.processes {
            wait_for_inside(&program)?;
        }
    }
    mounts(sandbox)?;
    if sandbox.network {
        cargo::run(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    }
    Ok(())
}

/// Starts this program again, as root, unless it is root already.
///
/// # Errors
///
/// It could not be started.
pub(crate) fn as_root() -> Result<()> {
    if Uid::effective().is_root() {
        return Ok(());
    }
    Err(become_root())
}

fn become_root() -> Error {
    eprintln!("BPF and network namespaces need root: asking sudo");
    let error = match env::current_exe() {
        Ok(program) => Command::new("sudo")
            .arg("-E")
            .arg(program)
            .args(env::args_os().skip(1))
            .exec(),
        Err(error) => error,
    };
    Error::new(error).context("starting this program again with sudo failed; run it as root")
}

fn isolate(sandbox: Sandbox) -> Result<()> {
    let mut flags = CloneFlags::CLONE_NEWNS;
    flags.set(
        CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWCGROUP,
        sandbox.network,
    );
    flags.set(CloneFlags::CLONE_NEWPID, sandbox.processes);
    unshare(flags).with_context(|| format!("making namespaces ({flags:?}, unshare) failed"))
}

/// The next child is the first process of the new PID namespace; this one only waits for it.
fn wait_for_inside(program: &Path) -> Result<()> {
    let status = Command::new(program)
        .args(env::args_os().skip(1))
        .env(INSIDE, "1")
        .status();
    let status = status.context("starting this program in a new PID namespace failed")?;
    exit(status.code().unwrap_or(1))
}

fn mounts(sandbox: Sandbox) -> Result<()> {
    // First of all: what is mounted from here on stays in this namespace.
    let private = MsFlags::MS_PRIVATE | MsFlags::MS_REC;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)
        .context("making / private (mount) failed")?;
    if sandbox.processes {
        mount_new("proc", "/proc")?;
    }
    if sandbox.network {
        // The machine's shows the machine's interfaces.
        mount_new("sysfs", "/sys")?;
        mount_new("cgroup2", "/sys/fs/cgroup")?;
    }
    mount_new("bpf", "/sys/fs/bpf")?;
    // For /run/netns and /run/snat: nobody outside sees what is in there, and it ends with us.
    mount_new("tmpfs", "/run")?;
    fs::create_dir("/run/netns").context("creating /run/netns failed")?;
    OVERLAID.into_iter().try_for_each(overlay)
}

/// The changes are kept in our `/run`.
fn overlay(path: &str) -> Result<()> {
    let ours = format!("/run/changes{path}");
    let [changes, work] = ["files", "work"].map(|dir| format!("{ours}/{dir}"));
    for dir in [&changes, &work] {
        fs::create_dir_all(dir).with_context(|| format!("creating {dir} failed"))?;
    }
    let options = format!("lowerdir={path},upperdir={changes},workdir={work}");
    mount(
        Some("overlay"),
        path,
        Some("overlay"),
        MsFlags::empty(),
        Some(options.as_str()),
    )
    .with_context(|| format!("mounting an overlay file system over {path} failed"))
}

fn mount_new(kind: &str, path: &str) -> Result<()> {
    mount(Some(kind), path, Some(kind), MsFlags::empty(), None::<&str>)
        .with_context(|| format!("mounting a {kind} file system at {path} failed"))
}
