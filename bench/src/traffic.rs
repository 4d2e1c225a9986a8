//! The traffic: made by a program on live frames, counted by another where it arrives.

use std::{path::Path, thread::sleep, time::Duration};

use anyhow::{Context as _, Result, bail};
use aya::{
    Ebpf,
    maps::{Array, DevMap, MapData, PerCpuArray, PerCpuValues},
    programs::{
        Program, ProgramError, TestRun as _, TestRunAttrs, TestRunOptions, Xdp,
        xdp::{XdpLinkId, XdpMode},
    },
};
use nix::errno::Errno;
use snat_common::load::{Load, SAMPLE_LEN, SAMPLES, Way, pace::Pace};

use snat_tests::wait;

use crate::{
    counts::{Counts, Plain, Run},
    replay::Replayer,
    stage::{POLLED, Poller, Port, Stage},
    sys,
    verify::Sample,
};

mod burst;
mod flows;

pub(crate) use flows::Flows;

/// Turns after which the generator hands its packets over: as many as a driver polls.
const BATCH: u32 = 64;
/// The same at a pace: no packet is to wait for others.
const SMALL_BATCH: u32 = 8;
/// Turns without a packet between two packets that open flows.
const SLOWLY: u32 = 250;
/// Packets that begin again where all were sent: the first get lost while the thread that polls is on its way to a CPU.
const AGAIN: u32 = 5000;
/// So many packets that only a signal ends it.
const ENDLESS: u32 = 1 << 30;
/// A call takes a while to begin: its pages are set up.
const BEGINS: Duration = Duration::from_secs(10);
/// Until the first packets are past.
const WARM: Duration = Duration::from_millis(60);

/// Generator, sink and limits, loaded.
pub(crate) struct Traffic {
    ebpf: Ebpf,
    load: Array<MapData, Plain<Load>>,
    way: Array<MapData, Plain<Way>>,
    out: DevMap<MapData>,
    samples: Array<MapData, Sample>,
    pace: PerCpuArray<MapData, Plain<Pace>>,
    counts: Counts,
}

/// A program attached to an interface.
pub(crate) struct Attached {
    program: &'static str,
    link: XdpLinkId,
}

impl Traffic {
    /// Loads the object.
    pub(crate) fn load(object: &Path) -> Result<Self> {
        let mut ebpf = Ebpf::load_file(object)
            .with_context(|| format!("loading the programs of {}", object.display()))?;
        for (name, program) in ebpf.programs_mut() {
            match program {
                Program::Xdp(program) => program.load(),
                Program::SchedClassifier(program) => program.load(),
                _ => bail!("program {name} is of no kind that belongs here"),
            }
            .with_context(|| format!("loading program {name}"))?;
        }
        let mut map = |name| {
            ebpf.take_map(name)
                .with_context(|| format!("no map {name}"))
        };
        Ok(Self {
            load: map("LOAD")?.try_into()?,
            way: map("WAY")?.try_into()?,
            out: map("OUT")?.try_into()?,
            samples: map("SAMPLES")?.try_into()?,
            pace: map("PACE")?.try_into()?,
            counts: Counts {
                turn: map("TURN")?.try_into()?,
                seen: map("SEEN")?.try_into()?,
                times: map("TIMES")?.try_into()?,
            },
            ebpf,
        })
    }

    /// Whether programs run as machine code.
    pub(crate) fn jited(&mut self) -> Result<bool> {
        let info = program_of(&mut self.ebpf, "generate")?.info()?;
        Ok(info.size_jitted() > 0)
    }

    /// Counts and drops what arrives at a port.
    pub(crate) fn sink(&mut self, port: &Port<'_>) -> Result<Attached> {
        self.attach("sink", port)
    }

    /// As [`Traffic::sink`], and notes how long packets took that were sent at a pace.
    pub(crate) fn arrive(&mut self, port: &Port<'_>) -> Result<Attached> {
        self.attach("arrive", port)
    }

    /// Has `program` send what comes in from the clients on to the servers' router.
    pub(crate) fn redirect(&mut self, program: &'static str, stage: &Stage) -> Result<Attached> {
        let (port, to) = (stage.lan()?, stage.wan()?);
        // The kernel looks for the index in the namespace of who writes it.
        port.netns
            .enter(|| Ok(self.out.set(0, to.ifindex, None, 0)?))
            .context("writing map OUT")?;
        self.lead(&to)?;
        self.attach(program, &port)
    }

    /// Sends what comes in at `port` back.
    pub(crate) fn transmit(&mut self, port: &Port<'_>) -> Result<Attached> {
        self.lead(port)?;
        self.attach("transmit", port)
    }

    /// Takes a program off again.
    pub(crate) fn detach(&mut self, attached: Attached) -> Result<()> {
        let Attached { program, link } = attached;
        Ok(program_of(&mut self.ebpf, program)?.detach(link)?)
    }

    /// Runs single programs.
    pub(crate) fn replayer(&mut self) -> Replayer<'_> {
        Replayer(&mut self.ebpf)
    }

    /// Sends each flow's packet, some twice, slowly enough for a new flow each. Who polls himself needs no pause.
    pub(crate) fn once(&mut self, from: &Port<'_>, flows: &Flows) -> Result<Run> {
        let pause = match from.poller {
            Poller::Thread => SLOWLY,
            Poller::Sender => 0,
        };
        let flows = Flows { pause, ..*flows };
        let frame = self.prepare(from, &flows)?;
        let program = program_of(&mut self.ebpf, "generate")?;
        let turns = (flows.count + AGAIN) * (1 + pause);
        self.counts.over(|| {
            from.netns
                .enter(|| generate(program, from.ifindex, &frame, turns, BATCH))?;
            sleep(WARM);
            Ok(())
        })
    }

    /// Sends flows' packets over and over, and counts for as long as `lasting` says from the middle of it.
    pub(crate) fn steady(
        &mut self,
        from: &Port<'_>,
        flows: &Flows,
        lasting: Duration,
    ) -> Result<Run> {
        self.during(from, flows, None, |counts| {
            counts.over(|| {
                sleep(lasting);
                Ok(())
            })
        })
    }

    /// Runs `body` while flows' packets are sent over and over: as many a second, or as many as it can.
    pub(crate) fn during<T>(
        &mut self,
        from: &Port<'_>,
        flows: &Flows,
        pace: Option<u64>,
        body: impl FnOnce(&Counts) -> Result<T>,
    ) -> Result<T> {
        let frame = self.prepare(from, flows)?;
        let Self {
            ebpf,
            counts,
            pace: paces,
            ..
        } = self;
        let (program, batch) = match pace {
            None => ("generate", BATCH),
            Some(rate) => {
                let each = vec![Plain(Pace::of(rate)); sys::cpus()?];
                paces
                    .set(0, PerCpuValues::try_from(each)?, 0)
                    .context("writing map PACE")?;
                ("pace", SMALL_BATCH)
            }
        };
        let program = program_of(ebpf, program)?;
        sys::during(
            |begins| {
                from.netns.enter(|| {
                    begins();
                    generate(program, from.ifindex, &frame, ENDLESS, batch).map(drop)
                })
            },
            || {
                wait::until(BEGINS, "the generator makes packets", || counts.has_begun())?;
                sleep(WARM);
                body(counts)
            },
        )
    }

    /// What the sink has kept of the last load: the beginnings of frames.
    pub(crate) fn samples(&self) -> Result<Vec<Sample>> {
        (0..SAMPLES)
            .map(|index| Ok(self.samples.get(&index, 0)?))
            .filter(|sample| !matches!(sample, Ok(sample) if sample == &[0; SAMPLE_LEN]))
            .collect()
    }

    fn prepare(&mut self, from: &Port<'_>, flows: &Flows) -> Result<Vec<u8>> {
        if from.poller == Poller::Thread {
            sys::place_pollers(POLLED)?;
        }
        self.write(from, flows)
    }

    fn write(&mut self, from: &Port<'_>, flows: &Flows) -> Result<Vec<u8>> {
        let load = flows.load(from)?;
        self.load
            .set(0, Plain(load), 0)
            .context("writing map LOAD")?;
        let begin = vec![Plain(flows.turn()); sys::cpus()?];
        self.counts
            .turn
            .set(0, PerCpuValues::try_from(begin)?, 0)
            .context("writing map TURN")?;
        for index in 0..SAMPLES {
            let nothing = [0; SAMPLE_LEN];
            let cleared = self.samples.set(index, nothing, 0);
            cleared.context("writing map SAMPLES")?;
        }
        Ok(vec![0; flows.frame_len])
    }

    fn lead(&mut self, to: &Port<'_>) -> Result<()> {
        let way = Way {
            dst_mac: to.peer_mac,
            src_mac: to.mac,
        };
        self.way.set(0, Plain(way), 0).context("writing map WAY")
    }

    fn attach(&mut self, program: &'static str, port: &Port<'_>) -> Result<Attached> {
        let xdp = program_of(&mut self.ebpf, program)?;
        let link = port
            .netns
            .enter(|| Ok(xdp.attach_to_if_index(port.ifindex, XdpMode::Driver)?))
            .with_context(|| format!("attaching {program} to {}", port.dev))?;
        Ok(Attached { program, link })
    }
}

fn program_of<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = ebpf.program_mut(name).context("no such program")?;
    Ok(program.try_into()?)
}

/// Makes packets, on the CPU for that, until there are enough or a signal comes; in batches of so many turns. How long
/// each took there.
fn generate(program: &Xdp, ifindex: u32, frame: &[u8], count: u32, batch: u32) -> Result<Duration> {
    sys::enter_busy_cpu()?;
    // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
    let len = u32::try_from(frame.len())?;
    let context: Vec<u8> = [0, len, 0, ifindex, 0, 0]
        .iter()
        .flat_map(|word: &u32| word.to_ne_bytes())
        .collect();
    let options = TestRunOptions {
        data_in: Some(frame),
        ctx_in: Some(&context),
        repeat: count,
        attrs: TestRunAttrs::new().xdp_live_frames(batch),
        ..TestRunOptions::new()
    };
    match program.test_run(options) {
        Ok(result) => Ok(result.duration),
        Err(ProgramError::SyscallError(error))
            if error.io_error.raw_os_error() == Some(Errno::EINTR as i32) =>
        {
            Ok(Duration::ZERO)
        }
        Err(error) => Err(error).context("running the generator on live frames"),
    }
}
