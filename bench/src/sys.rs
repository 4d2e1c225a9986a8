//! Which CPU does what: one makes, translates and counts packets, the others have all the rest.

use std::{
    process::id,
    sync::mpsc,
    thread::{scope, sleep},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
    unistd::{Pid, gettid},
};

/// The CPU of the packets: whoever hands a frame to a veth device has the other side polled on the same CPU.
const BUSY: usize = 0;

/// How many CPUs a per-CPU map has elements for.
pub(crate) fn cpus() -> Result<usize> {
    aya::util::nr_cpus().map_err(|(path, error)| anyhow::anyhow!("reading {path}: {error}"))
}

/// Keeps this thread, and what it starts, off the CPU of the packets.
pub(crate) fn leave_busy_cpu() -> Result<()> {
    let cpus = cpus()?;
    ensure!(
        cpus > 1,
        "one CPU is not enough: one makes packets, another has the rest"
    );
    pin((0..cpus).filter(|cpu| *cpu != BUSY))
}

/// Moves this thread to the CPU of the packets.
pub(crate) fn enter_busy_cpu() -> Result<()> {
    pin([BUSY])
}

/// Waits until the CPU of the packets is idle: what was taken away is freed behind our back. Not for ever: others may
/// be at work here.
pub(crate) fn settle() {
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        let before = idle();
        sleep(Duration::from_millis(50));
        // Ticks of 10 ms.
        if let (Some(before), Some(after)) = (before, idle())
            && after - before >= 5
        {
            return;
        }
    }
}

/// Ticks that the CPU of the packets has been idle (proc_stat(5)).
fn idle() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let name = format!("cpu{BUSY} ");
    let line = stat.lines().find_map(|line| line.strip_prefix(&name))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

fn pin(cpus: impl IntoIterator<Item = usize>) -> Result<()> {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(cpu)?;
    }
    sched_setaffinity(Pid::from_raw(0), &set).context("choosing a CPU (sched_setaffinity)")
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
