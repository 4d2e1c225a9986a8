//! Packets as they are dropped: a line each, a capture file, or both.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _},
    os::fd::{AsFd as _, BorrowedFd},
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, bail};
use ipnet::Ipv4Net;
use nix::{
    errno::Errno,
    net::if_::if_indextoname,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
};
use snat_common::{Verdict, report::Dropped};

use super::{capture::Capture, packet::Packet, reasons};
use crate::{
    cli::drops::DropsArgs,
    commands::WrongUsage,
    datapath::{Clock, Interest, Pins, Reports, Unseen},
    instance::Lock,
    output,
};

/// How often the datapath is asked to go on.
const BEAT: Duration = Duration::from_secs(1);
/// Most packets between two looks at clock and signals.
const AT_ONCE: u64 = 1024;

/// Shows and writes what is dropped, until there was enough of it or a signal says so.
pub(super) fn follow(name: &str, pins: &Pins, args: &DropsArgs) -> anyhow::Result<()> {
    refuse_two_on_stdout(args)?;
    let _lock = Lock::take_reports(name)?;
    let signals = signals()?;
    let mut reports = Reports::open(pins, &interest(args))?;
    // Last: it overwrites a file.
    let mut sinks = Sinks::open(args)?;
    // Whoever reads this may send a packet and wait for it.
    eprintln!(
        "watching the drops of instance {name:?}, at most {} packets a second",
        args.per_second
    );
    watch(&mut reports, &mut sinks, &signals, args.duration)?;
    let unseen = reports.unseen()?;
    if unseen != Unseen::default() {
        tell(unseen);
    }
    Ok(())
}

fn refuse_two_on_stdout(args: &DropsArgs) -> anyhow::Result<()> {
    let mut pcap = args.pcap.iter();
    if args.watch && pcap.any(|path| path.as_os_str() == "-") {
        bail!(WrongUsage(
            "--watch and --pcap - both write to standard output: name a file, or leave one out"
                .to_owned(),
        ));
    }
    Ok(())
}

fn watch(
    reports: &mut Reports,
    sinks: &mut Sinks,
    signals: &SignalFd,
    duration: Option<Duration>,
) -> anyhow::Result<()> {
    // Longer than the clock goes is for ever.
    let end = duration.and_then(|duration| Instant::now().checked_add(duration));
    let mut beat = Instant::now() + BEAT;
    let mut told = Unseen::default();
    while sinks.left > 0 {
        let now = Instant::now();
        if now >= beat {
            reports.renew()?;
            tell_more(reports, &mut told)?;
            beat = now + BEAT;
        }
        let until = end.map_or(beat, |end| end.min(beat));
        let stop = wait(reports.as_fd(), signals, until)?;
        sinks.take(reports)?;
        if stop || end.is_some_and(|end| Instant::now() >= end) {
            break;
        }
    }
    Ok(())
}

/// SIGINT and SIGTERM as a descriptor: so that none of them comes between two looks.
fn signals() -> anyhow::Result<SignalFd> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGINT);
    set.add(Signal::SIGTERM);
    set.thread_block()
        .and_then(|()| SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC))
        .context("cannot listen for signals")
}

/// Waits for reports, a signal (then true), or that time.
fn wait(reports: BorrowedFd<'_>, signals: &SignalFd, until: Instant) -> anyhow::Result<bool> {
    let mut waiting = [
        PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        PollFd::new(reports, PollFlags::POLLIN),
    ];
    let left = until.saturating_duration_since(Instant::now());
    // Rounded up: not to look again and again in the last millisecond.
    let left = left + Duration::from_millis(1);
    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    match poll(&mut waiting, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(waiting[0].any() == Some(true)),
        Err(error) => Err(error).context("cannot wait for drops"),
    }
}

/// Where packets go.
struct Sinks {
    lines: bool,
    json: bool,
    capture: Option<Capture>,
    names: BTreeMap<u32, String>,
    /// How many more are wanted.
    left: u64,
}

impl Sinks {
    fn open(args: &DropsArgs) -> anyhow::Result<Self> {
        let capture = args.pcap.as_ref();
        let capture = capture.map(|path| Capture::create(path, args.force));
        Ok(Self {
            lines: args.watch,
            json: args.json,
            capture: capture.transpose()?,
            names: BTreeMap::new(),
            left: args.count.unwrap_or(u64::MAX),
        })
    }

    /// Takes what there is by now, but looks up in between: there may be more without end.
    fn take(&mut self, reports: &mut Reports) -> anyhow::Result<()> {
        let clock = Clock::now();
        let mut text = String::new();
        for _ in 0..self.left.min(AT_ONCE) {
            let Some(dropped) = reports.take() else {
                break;
            };
            let Some(verdict) = Verdict::ALL.get(usize::from(dropped.verdict)) else {
                continue;
            };
            let time = clock.at(dropped.time);
            self.one(&dropped, *verdict, time, &mut text)?;
            self.left -= 1;
        }
        if text.is_empty() {
            return Ok(());
        }
        output::print(&text)
    }

    fn one(
        &mut self,
        dropped: &Dropped,
        verdict: Verdict,
        time: SystemTime,
        text: &mut String,
    ) -> anyhow::Result<()> {
        let ifindex = dropped.ifindex;
        let interface = self.names.entry(ifindex).or_insert_with(|| named(ifindex));
        if let Some(capture) = &mut self.capture {
            capture.add(dropped, verdict, time, interface)?;
        }
        if self.lines {
            let packet = Packet::read(dropped, verdict, time, interface);
            *text += &if self.json {
                serde_json::to_string(&packet)?
            } else {
                packet.to_string()
            };
            text.push('\n');
        }
        Ok(())
    }
}

fn interest(args: &DropsArgs) -> Interest {
    let all = Ipv4Net::default();
    Interest {
        reasons: reasons(args),
        source: args.host.or(args.source).unwrap_or(all),
        destination: args.host.or(args.destination).unwrap_or(all),
        either: args.host.is_some(),
        per_second: args.per_second,
    }
}

fn named(ifindex: u32) -> String {
    if_indextoname(ifindex)
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| format!("if{ifindex}"))
}

/// On a terminal, says at once that packets are not shown.
fn tell_more(reports: &Reports, told: &mut Unseen) -> anyhow::Result<()> {
    if !io::stderr().is_terminal() {
        return Ok(());
    }
    let unseen = reports.unseen()?;
    if unseen != *told {
        tell(unseen);
        *told = unseen;
    }
    Ok(())
}

fn tell(unseen: Unseen) {
    let Unseen { held_back, lost } = unseen;
    eprintln!(
        "{} more packets not shown so far: {held_back} were more than --per-second, {lost} came faster than they were read",
        held_back + lost
    );
}
