//! Runs one program on frames that are as they came from a wire, each time: `snat-ebpf/src/replay.rs`.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf, Pod,
    maps::{Array, ProgramArray},
    programs::{
        Program, ProgramFd, ProgramInfo, SchedClassifier, TestRun as _, TestRunOptions, Xdp,
        links::PinnedLink, loaded_programs,
    },
};
use snat_common::load::replay::{FRAME_LEN, MAX_FRAMES, Replay};

/// A frame without its checksum at the end.
pub(crate) type Frame = [u8; FRAME_LEN];

/// A program's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    /// In the driver.
    Xdp,
    /// On ingress.
    Tc,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Ran {
    /// What the program returned, the last time.
    pub(crate) code: i32,
    /// How long it took each time, on average, replay included.
    pub(crate) each: Duration,
    /// The last frame as it was then.
    pub(crate) frame: Vec<u8>,
}

/// The replaying programs.
pub(crate) struct Replayer<'a>(pub(crate) &'a mut Ebpf);

#[derive(Clone, Copy)]
#[repr(transparent)]
struct Plain(Replay);

// SAFETY: two integers.
unsafe impl Pod for Plain {}

impl Replayer<'_> {
    /// Replays frames in turn, `repeat` of them, to a program (none: to one that does nothing), as if they came in by
    /// this interface of the caller's namespace.
    pub(crate) fn run(
        &mut self,
        hook: Hook,
        program: Option<&ProgramFd>,
        ingress: u32,
        frames: &[Frame],
        repeat: u32,
    ) -> Result<Ran> {
        self.aim(hook, program)?;
        self.lay(frames)?;
        let first = frames.first().context("no frame to replay")?;
        let mut out = vec![0; 2 * FRAME_LEN];
        let context: Vec<u8> = match hook {
            // `xdp_md`: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
            Hook::Xdp => words(&[0, FRAME_LEN as u32, 0, ingress, 0, 0]),
            // `__sk_buff` up to ifindex, its eleventh word.
            Hook::Tc => words(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ingress]),
        };
        let options = TestRunOptions {
            data_in: Some(first),
            data_out: Some(&mut out),
            ctx_in: Some(&context),
            repeat,
            ..TestRunOptions::new()
        };
        let name = hook.program("replay");
        let result = match self.program(&name)? {
            Program::Xdp(program) => program.test_run(options),
            Program::SchedClassifier(program) => program.test_run(options),
            _ => anyhow::bail!("{name} is of no kind that can be run"),
        };
        let result = result.with_context(|| format!("running {name}"))?;
        out.truncate(result.data_size_out as usize);
        Ok(Ran {
            code: result.return_value.cast_signed(),
            each: result.duration,
            frame: out,
        })
    }

    /// What is replayed to.
    fn aim(&mut self, hook: Hook, program: Option<&ProgramFd>) -> Result<()> {
        let name = hook.program("nothing");
        let nothing = match self.program(&name)? {
            Program::Xdp(program) => Xdp::fd(program)?,
            Program::SchedClassifier(program) => SchedClassifier::fd(program)?,
            _ => anyhow::bail!("{name} is of no kind that can be run"),
        }
        .try_clone()?;
        let map = match hook {
            Hook::Xdp => "MEASURED_XDP",
            Hook::Tc => "MEASURED_TC",
        };
        let map = self
            .0
            .map_mut(map)
            .with_context(|| format!("no map {map}"))?;
        ProgramArray::try_from(map)?
            .set(0, program.unwrap_or(&nothing), 0)
            .context("putting the program behind the replaying one")
    }

    /// The frames, in the map that they are taken from.
    fn lay(&mut self, frames: &[Frame]) -> Result<()> {
        ensure!(
            frames.len() <= MAX_FRAMES as usize,
            "{} frames are too many to replay",
            frames.len()
        );
        let map = self.0.map_mut("FRAMES").context("no map FRAMES")?;
        let mut map: Array<_, Frame> = Array::try_from(map)?;
        for (index, frame) in (0..).zip(frames) {
            map.set(index, frame, 0)?;
        }
        let map = self.0.map_mut("REPLAY").context("no map REPLAY")?;
        let begin = Replay {
            next: 0,
            frames: u32::try_from(frames.len())?,
        };
        Ok(Array::try_from(map)?.set(0, Plain(begin), 0)?)
    }

    fn program(&mut self, name: &str) -> Result<&mut Program> {
        self.0
            .program_mut(name)
            .with_context(|| format!("no program {name}"))
    }
}

impl Hook {
    fn program(self, does: &str) -> String {
        match self {
            Self::Xdp => format!("{does}_xdp"),
            Self::Tc => format!("{does}_tc"),
        }
    }
}

/// The program behind a pinned link.
pub(crate) fn behind(link: &std::path::Path) -> Result<ProgramFd> {
    let what = || format!("finding the program behind {}", link.display());
    let link = aya::programs::links::FdLink::from(PinnedLink::from_pin(link).with_context(what)?);
    let id = link.info().with_context(what)?.program_id();
    let found = loaded_programs()
        .filter_map(Result::ok)
        .find(|info: &ProgramInfo| info.id() == id);
    Ok(found.with_context(what)?.fd()?)
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}
