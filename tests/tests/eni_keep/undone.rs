//! Something else that undoes what is kept: it is named, and given way to; nothing else has to wait for that.

use std::{
    io::Write as _,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use snat_tests::{netns::Netns, topology::enis::ETH1};

use super::{
    kept::{Kept, PATIENCE},
    rule_of_eth1,
    watched::Watched,
};

/// So long rules are deleted as fast as they come.
const WAR: Duration = Duration::from_secs(4);
/// Five at once, then after one second, two, and four; and one for a machine that is slow.
const AT_MOST: usize = 8;
/// The longest wait there can be after that.
const PEACE: Duration = Duration::from_secs(20);

#[test]
fn whoever_deletes_a_rule_again_and_again_is_named_and_given_way_to() -> Result<()> {
    let kept = Kept::eth1()?;
    let watched = Watched::begin(&kept)?;
    let end = Instant::now() + WAR;
    let undoer = Undoer::start(&kept.enis.vm, format!("rule del {}", rule_of_eth1()))?;
    let named = format!("5 times in a row, by process {} (ip)", undoer.pid);
    kept.says(&named, WAR)?;
    while Instant::now() < end {
        let addr6 = ETH1.addr6;
        let other = || has_rule(&kept, &format!("from {addr6} "));
        let line = format!("-6 rule del priority 20400 from {addr6}");
        // Four times only, or that one is taken for an undoer as well.
        if kept.log_lines(&format!("from {addr6}")) < 4 {
            watched.mended_after("rule beside that of an undoer", || kept.ip(&line), other)?;
        }
        thread::sleep(Duration::from_millis(20));
    }
    drop(undoer);
    let repairs = kept.log_lines(&format!("from {} ", ETH1.addr));
    ensure!(
        (5..=AT_MOST).contains(&repairs),
        "{repairs} repairs within {WAR:?}: {}",
        kept.daemon.log()
    );
    kept.becomes(watched.whole(), PEACE)?;
    watched.eth0_noticed_nothing()
}

/// Ours comes back beside it; of the two the kernel takes theirs, which was there first.
#[test]
fn a_foreign_route_in_the_place_of_ours_is_named_and_stays() -> Result<()> {
    let kept = Kept::eth1()?;
    let watched = Watched::begin(&kept)?;
    let theirs = format!(
        "default via {} dev eth1 metric 20000 table 1001",
        ETH1.gateway
    );
    watched.mended_after(
        "foreign route in the place of ours",
        || kept.ip(&format!("route replace {theirs} proto static")),
        || kept.becomes(watched.whole(), Duration::ZERO),
    )?;
    kept.says("by a route of protocol 4", PATIENCE)?;
    has_theirs(&kept, "-4")?;
    watched.eth0_noticed_nothing()
}

/// The kernel would make one of the two. So ours waits; nothing else does.
#[test]
fn a_foreign_ipv6_route_in_the_place_of_ours_is_named_and_holds_up_nothing_else() -> Result<()> {
    let kept = Kept::eth1()?;
    let watched = Watched::begin(&kept)?;
    let theirs = format!(
        "default via {} dev eth1 metric 20000 table 1001 proto static",
        ETH1.gateway6
    );
    kept.ip(&format!("-6 route replace {theirs}"))?;
    kept.says("protocol 4", PATIENCE)?;
    let text = format!("from {} ", ETH1.addr);
    watched.mended_after(
        "rule beside a route that cannot be put back",
        || kept.ip(&format!("rule del {}", rule_of_eth1())),
        || has_rule(&kept, &text),
    )?;
    has_theirs(&kept, "-6")?;
    watched.whole_after("foreign IPv6 route gone", || {
        kept.ip(&format!("-6 route del {theirs}"))
    })?;
    watched.eth0_noticed_nothing()
}

fn has_rule(kept: &Kept, text: &str) -> Result<()> {
    ensure!(kept.has_rule(text)?, "no rule {text}");
    Ok(())
}

fn has_theirs(kept: &Kept, family: &str) -> Result<()> {
    let show = format!("ip {family} route show table 1001");
    let shown = kept.enis.vm.run(&show)?;
    ensure!(shown.contains("proto static"), "not theirs: {shown}");
    Ok(())
}

impl Kept {
    /// How many repairs the daemon tells of, of things with this text.
    fn log_lines(&self, text: &str) -> usize {
        let log = self.daemon.log();
        let repairs = log.lines().filter(|line| line.starts_with("repaired: + "));
        repairs.filter(|line| line.contains(text)).count()
    }
}

/// One `ip` that does the same again and again.
struct Undoer {
    pid: u32,
    child: Child,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Undoer {
    fn start(vm: &Netns, line: String) -> Result<Self> {
        let mut child = Command::new("ip")
            .args(["-n", vm.name(), "-force", "-batch", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("starting ip")?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        let stop = Arc::<AtomicBool>::default();
        let stopping = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopping.load(Ordering::Relaxed) && writeln!(stdin, "{line}").is_ok() {
                thread::sleep(Duration::from_millis(5));
            }
        });
        Ok(Self {
            pid: child.id(),
            child,
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Undoer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
        let _ = self.child.wait();
    }
}
