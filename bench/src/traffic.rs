//! The traffic: made by a program on live frames, counted by another where it arrives.

use std::{
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use aya::{
    Ebpf, Pod,
    maps::{Array, DevMap, MapData, PerCpuArray, PerCpuValues},
    programs::{
        ProgramError, TestRun as _, TestRunAttrs, TestRunOptions, Xdp,
        xdp::{XdpLinkId, XdpMode},
    },
};
use nix::errno::Errno;
use snat_common::load::{Load, SAMPLE_LEN, SAMPLES, Seen, Turn, WRITTEN, Way};

use crate::{
    stage::{POLLED, Port, Stage},
    sys,
    verify::Sample,
};

mod burst;

/// Packets that the generator hands over at a time: as many as a driver polls.
const BATCH: u32 = 64;
/// Turns without a packet between two packets that open flows.
const SLOWLY: u32 = 250;
/// Packets that begin again where all were sent: the first get lost while the thread that polls is on its way to a CPU.
const AGAIN: u32 = 5000;
/// So many packets that only a signal ends it.
const ENDLESS: u32 = 1 << 30;
/// A call takes a while to begin: its pages are set up.
const WARM: Duration = Duration::from_millis(60);

/// What to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flows {
    /// Number of the first.
    pub(crate) first: u32,
    /// How many take turns.
    pub(crate) count: u32,
    /// So many of them are passed over in the first turn.
    pub(crate) skip: u32,
    /// How many client endpoints they have.
    pub(crate) endpoints: u32,
    /// Bytes of each frame, Ethernet header included.
    pub(crate) frame_len: usize,
    /// Turns of the generator without a packet after each with one; a turn is about 20 ns.
    pub(crate) pause: u32,
}

impl Flows {
    /// Those of the table: at most 16,384 endpoints, each with several servers where that is not enough.
    pub(crate) fn of(count: u32, frame_len: usize) -> Self {
        Self {
            first: 0,
            count,
            skip: 0,
            endpoints: count.min(16_384),
            frame_len,
            pause: 0,
        }
    }
}

impl Flows {
    /// What the generator at `from` is told.
    pub(crate) fn load(&self, from: &Port<'_>) -> Result<Load> {
        let load = Load {
            first: self.first,
            flows: self.count,
            endpoints: self.endpoints,
            pause: self.pause,
            ip_len: u16::try_from(self.frame_len - 14)?,
            fragment: 0x4000,
            dst_mac: from.peer_mac,
            src_mac: from.mac,
            ..Load::default()
        };
        Ok(load.summed(&vec![0; self.frame_len - WRITTEN]))
    }
}

/// What came of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Packets sent.
    pub(crate) sent: u64,
    /// Packets that arrived.
    pub(crate) arrived: u64,
    /// How long it took.
    pub(crate) took: Duration,
}

impl Run {
    /// Packets per second that arrived.
    pub(crate) fn rate(&self) -> f64 {
        self.arrived as f64 / self.took.as_secs_f64()
    }

    /// The part of what was sent that did not arrive.
    pub(crate) fn lost(&self) -> f64 {
        1.0 - self.arrived as f64 / self.sent.max(1) as f64
    }
}

/// Generator, sink and limits, loaded.
pub(crate) struct Traffic {
    ebpf: Ebpf,
    load: Array<MapData, Plain<Load>>,
    way: Array<MapData, Plain<Way>>,
    out: DevMap<MapData>,
    samples: Array<MapData, Sample>,
    counts: Counts,
}

/// A program attached to an interface.
pub(crate) struct Attached {
    program: &'static str,
    link: XdpLinkId,
}

struct Counts {
    turn: PerCpuArray<MapData, Plain<Turn>>,
    seen: PerCpuArray<MapData, Plain<Seen>>,
}

#[derive(Clone, Copy, Default)]
#[repr(transparent)]
struct Plain<T>(T);

// SAFETY: integers and arrays of them without padding.
unsafe impl Pod for Plain<Load> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Turn> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Seen> {}
// SAFETY: as above.
unsafe impl Pod for Plain<Way> {}

impl Traffic {
    /// Loads the object.
    pub(crate) fn load(object: &Path) -> Result<Self> {
        let mut ebpf = Ebpf::load_file(object)
            .with_context(|| format!("loading the programs of {}", object.display()))?;
        for (name, program) in ebpf.programs_mut() {
            let program: &mut Xdp = program.try_into()?;
            program
                .load()
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
            counts: Counts {
                turn: map("TURN")?.try_into()?,
                seen: map("SEEN")?.try_into()?,
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

    /// Sends each flow's packet, some twice, slowly enough for a new flow each.
    pub(crate) fn once(&mut self, from: &Port<'_>, flows: &Flows) -> Result<Run> {
        let flows = Flows {
            pause: SLOWLY,
            ..*flows
        };
        let frame = self.prepare(from, &flows)?;
        let program = program_of(&mut self.ebpf, "generate")?;
        let turns = (flows.count + AGAIN) * (1 + SLOWLY);
        let (before, begin) = (self.counts.read()?, Instant::now());
        from.netns
            .enter(|| generate(program, from.ifindex, &frame, turns))?;
        sleep(WARM);
        since(before, self.counts.read()?, begin)
    }

    /// Sends flows' packets over and over, and counts for as long as `lasting` says from the middle of it.
    pub(crate) fn steady(
        &mut self,
        from: &Port<'_>,
        flows: &Flows,
        lasting: Duration,
    ) -> Result<Run> {
        self.while_sending(from, flows, |counts| {
            let (before, begin) = (counts.read()?, Instant::now());
            sleep(lasting);
            since(before, counts.read()?, begin)
        })
    }

    fn while_sending<T>(
        &mut self,
        from: &Port<'_>,
        flows: &Flows,
        body: impl FnOnce(&Counts) -> Result<T>,
    ) -> Result<T> {
        let frame = self.prepare(from, flows)?;
        let Self { ebpf, counts, .. } = self;
        let program = program_of(ebpf, "generate")?;
        sys::during(
            |begins| {
                from.netns.enter(|| {
                    begins();
                    generate(program, from.ifindex, &frame, ENDLESS).map(drop)
                })
            },
            || {
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
        sys::place_pollers(POLLED)?;
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

impl Counts {
    /// Packets made, and packets seen.
    fn read(&self) -> Result<(u64, u64)> {
        let made = self.turn.get(&0, 0)?.iter().map(|turn| turn.0.made).sum();
        let seen = self
            .seen
            .get(&0, 0)?
            .iter()
            .map(|seen| seen.0.packets)
            .sum();
        Ok((made, seen))
    }
}

fn since(before: (u64, u64), after: (u64, u64), begin: Instant) -> Result<Run> {
    Ok(Run {
        took: begin.elapsed(),
        sent: after.0 - before.0,
        arrived: after.1 - before.1,
    })
}

fn program_of<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = ebpf.program_mut(name).context("no such program")?;
    Ok(program.try_into()?)
}

/// Makes packets, on the CPU for that, until there are enough or a signal comes. How long each took there.
fn generate(program: &Xdp, ifindex: u32, frame: &[u8], count: u32) -> Result<Duration> {
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
        attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
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
