//! Nobody else at work: waited for before a measurement, watched during it.

use std::{
    fs::{File, OpenOptions, read_to_string},
    io::Write as _,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

/// How often a disturbed measurement is made.
const TRIES: u32 = 3;
/// Others' part of a CPU's time from which on it is made again: more than a tick in half a second.
pub(crate) const DISTURBED: f64 = 0.03;
/// What is waited for once at most: others may be at work here for long.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(100);
/// What waiting and measuring again may take in all, so that a machine that is never idle ends a run as well.
const BUDGET: Duration = Duration::from_secs(90);

/// What a measurement that was watched has come to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watched<T> {
    /// What it returned.
    pub(crate) value: T,
    /// The part of a CPU's time that went to others meanwhile, on the one where that was more.
    pub(crate) others: f64,
}

/// What a run may yet spend on quiet.
#[derive(Debug)]
pub(crate) struct Quiet {
    left: Duration,
}

impl Quiet {
    /// At the beginning.
    pub(crate) fn new() -> Self {
        Self { left: BUDGET }
    }

    /// Measures until nobody disturbs, else the least disturbed of a few times counts. For what spends next to no time
    /// in user space: what others spend there, and what the host takes away, is the disturbance.
    pub(crate) fn watched<T>(
        &mut self,
        mut measure: impl FnMut() -> Result<T>,
    ) -> Result<Watched<T>> {
        self.spend(settle);
        let mut best = watch(&mut measure)?;
        for _ in 1..TRIES {
            if best.others < DISTURBED || self.left.is_zero() {
                break;
            }
            let next = self.spend(|_| {
                settle(PATIENCE);
                watch(&mut measure)
            })?;
            if next.others < best.others {
                best = next;
            }
        }
        Ok(best)
    }

    fn spend<T>(&mut self, what: impl FnOnce(Duration) -> T) -> T {
        let begun = Instant::now();
        let done = what(PATIENCE.min(self.left));
        self.left = self.left.saturating_sub(begun.elapsed());
        done
    }
}

fn watch<T>(measure: impl FnOnce() -> Result<T>) -> Result<Watched<T>> {
    let before = Ticks::now();
    let value = measure()?;
    let others = since(&before).map(|ticks| ticks.others());
    Ok(Watched {
        value,
        others: others.fold(0.0, f64::max),
    })
}

/// Keeps all CPUs from sleeping for as long as the file is open (the kernel's PM QoS): else whoever hands packets over to
/// an idle CPU pays for waking it, most of all in a virtual machine, and a fast gateway is idle after each batch.
pub(crate) fn awake() -> Result<File> {
    const FILE: &str = "/dev/cpu_dma_latency";
    let mut file = OpenOptions::new()
        .write(true)
        .open(FILE)
        .with_context(|| format!("opening {FILE}"))?;
    // The latency that is borne, in microseconds.
    file.write_all(&0_i32.to_ne_bytes())
        .with_context(|| format!("writing to {FILE}"))?;
    Ok(file)
}

/// Waits until all CPUs are idle, but for a tick: a gateway that was just started looks at its tables, and what was
/// taken away is freed behind our back. A tenth of a second is seen through in any case.
fn settle(patience: Duration) {
    let end = Instant::now() + patience;
    loop {
        let before = Ticks::now();
        sleep(LOOK);
        if since(&before).all(|ticks| ticks.busy() <= 1) || Instant::now() >= end {
            return;
        }
    }
}

/// What a CPU's time went to, in ticks of 10 ms: user, nice, system, idle, iowait, irq, softirq, steal (proc_stat(5)).
#[derive(Clone, Copy, Debug)]
struct Ticks([u64; 8]);

impl Ticks {
    /// Of each CPU.
    fn now() -> Vec<Self> {
        Self::parse(&read_to_string("/proc/stat").unwrap_or_default())
    }

    fn parse(stat: &str) -> Vec<Self> {
        let lines = stat.lines().filter_map(|line| line.strip_prefix("cpu"));
        // The first is of all CPUs together.
        let each = lines.filter(|line| !line.starts_with(' '));
        each.filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1).map(str::parse);
            let mut ticks = [0; 8];
            for tick in &mut ticks {
                *tick = fields.next()?.ok()?;
            }
            Some(Self(ticks))
        })
        .collect()
    }

    fn busy(&self) -> u64 {
        let [_, _, _, idle, iowait, ..] = self.0;
        self.0.iter().sum::<u64>() - idle - iowait
    }

    fn others(&self) -> f64 {
        let [user, nice, .., steal] = self.0;
        (user + nice + steal) as f64 / self.0.iter().sum::<u64>().max(1) as f64
    }
}

/// What each CPU has done since.
fn since(before: &[Ticks]) -> impl Iterator<Item = Ticks> {
    before.iter().zip(Ticks::now()).map(|(before, now)| {
        Ticks(std::array::from_fn(|i| {
            now.0[i].saturating_sub(before.0[i])
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::Ticks;

    #[test]
    fn others_are_user_space_and_the_host() {
        let stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\ncpu1 0 0 0 0 0 0 0 0 0 0\nintr 5\n";
        let ticks = Ticks::parse(stat);
        assert_eq!(ticks.len(), 2);
        assert_eq!(ticks[0].others(), 11.0 / 36.0);
        assert_eq!(ticks[0].busy(), 27);
        assert_eq!((ticks[1].others(), ticks[1].busy()), (0.0, 0));
    }
}
