//! Which CPU does what: one makes packets, the other translates and counts them, as it would behind a NIC.

use std::{
    fs,
    process::id,
    sync::mpsc,
    thread::{scope, sleep},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, CpuSet, sched_setaffinity, unshare},
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
    unistd::{Pid, gettid},
};

use crate::stage::Port;

/// The CPU that makes packets.
const BUSY: usize = 0;

/// How many CPUs a per-CPU map has elements for.
pub(crate) fn cpus() -> Result<usize> {
    aya::util::nr_cpus().map_err(|(path, error)| anyhow::anyhow!("reading {path}: {error}"))
}

/// Keeps this thread, and what it starts, off the CPU that makes packets.
pub(crate) fn leave_busy_cpu() -> Result<()> {
    ensure!(
        cpus()? > 1,
        "one CPU is not enough: one makes packets, another translates them"
    );
    pin(Pid::from_raw(0), others()?)
}

/// Moves this thread to the CPU that makes packets.
pub(crate) fn enter_busy_cpu() -> Result<()> {
    enter_cpu(BUSY)
}

/// Moves this thread to a CPU, by its number from 0.
pub(crate) fn enter_cpu(cpu: usize) -> Result<()> {
    pin(Pid::from_raw(0), [cpu])
}

fn others() -> Result<impl Iterator<Item = usize>> {
    Ok((0..cpus()?).filter(|cpu| *cpu != BUSY))
}

fn pin(thread: Pid, cpus: impl IntoIterator<Item = usize>) -> Result<()> {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(cpu)?;
    }
    sched_setaffinity(thread, &set).context("choosing a CPU (sched_setaffinity)")
}

/// Runs `body` while another thread is in `call`, a system call that only a signal ends. `call` is given what it has
/// to do on the thread that makes the call.
pub(crate) fn during<T>(
    call: impl FnOnce(&(dyn Fn() + Sync)) -> Result<()> + Send,
    body: impl FnOnce() -> Result<T>,
) -> Result<T> {
    extern "C" fn nothing(_: libc::c_int) {}
    let action = SigAction::new(
        SigHandler::Handler(nothing),
        SaFlags::empty(),
        SigSet::empty(),
    );
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.context("sigaction")?;
    let (tell, told) = mpsc::channel();
    scope(|scope| {
        let caller = scope.spawn(move || {
            call(&|| {
                tell.send(gettid()).ok();
            })
        });
        let end = match told.recv() {
            Ok(thread) => {
                let end = body();
                while !caller.is_finished() {
                    interrupt(thread);
                    sleep(Duration::from_millis(1));
                }
                Some(end)
            }
            Err(_) => None,
        };
        let called = caller
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        called?;
        end.context("the call ended before it began")?
    })
}

fn interrupt(thread: Pid) {
    // SAFETY: no pointers; a thread that is gone gets none.
    unsafe { libc::syscall(libc::SYS_tgkill, id(), thread.as_raw(), libc::SIGUSR1) };
}

/// Has a device polled by a thread of the kernel on the other CPU. Else the other end's CPU would poll it: the one
/// that makes the packets, which still has them in its cache.
pub(crate) fn poll_by_thread(port: &Port<'_>) -> Result<()> {
    let Port { netns, dev, .. } = *port;
    netns.enter(|| {
        // On this thread alone, which ends with it: a sysfs shows the network namespace of who mounts it.
        unshare(CloneFlags::CLONE_NEWNS).context("unshare")?;
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_PRIVATE | MsFlags::MS_REC, none)
            .context("making / private (mount)")?;
        mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), none)
            .context("mounting sysfs")?;
        fs::write(format!("/sys/class/net/{dev}/threaded"), "1")
            .with_context(|| format!("having {dev} polled by a thread"))
    })
}

/// Keeps the threads that poll a device off the CPU that makes packets: the scheduler would leave them where they
/// are woken. Before each run, for they are made anew when a program is attached.
pub(crate) fn place_pollers(dev: &str) -> Result<()> {
    let threads = pollers(dev)?;
    ensure!(
        !threads.is_empty(),
        "no thread polls {dev}: are the kernel's threads in this PID namespace?"
    );
    threads
        .into_iter()
        .try_for_each(|thread| pin(thread, others()?))
}

/// The kernel's threads that poll devices of this name.
fn pollers(dev: &str) -> Result<Vec<Pid>> {
    let name = format!("napi/{dev}-");
    let processes = fs::read_dir("/proc").context("reading /proc")?;
    Ok(processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| {
            fs::read_to_string(format!("/proc/{pid}/comm"))
                .is_ok_and(|comm| comm.starts_with(&name))
        })
        .map(Pid::from_raw)
        .collect())
}
