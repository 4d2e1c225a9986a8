//! The gateway's TC program, run by hand on a frame: how long it takes, to the nanosecond.

use anyhow::{Context as _, Result, ensure};
use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions, loaded_programs};
use snat_ctl::datapath::tcx_programs;
use std::time::Duration;

use crate::{stage::Port, sys};

/// What the program returns for a packet that it has sent on (`TC_ACT_REDIRECT`).
const SENT: u32 = 7;

/// The program attached to a port.
pub(crate) struct Classifier {
    program: SchedClassifier,
    context: Vec<u8>,
}

impl Classifier {
    /// That which runs on what comes in at `port`.
    pub(crate) fn of(port: &Port<'_>) -> Result<Self> {
        let attached = port.netns.enter(|| Ok(tcx_programs(port.dev, true)?))?;
        let (id, _) = *attached
            .first()
            .with_context(|| format!("no TC program at {}", port.dev))?;
        let info = loaded_programs()
            .filter_map(Result::ok)
            .find(|info| info.id() == id)
            .with_context(|| format!("program {id} is not there"))?;
        // struct __sk_buff up to ifindex, its eleventh word.
        let mut context = vec![0; 40];
        context.extend(port.ifindex.to_ne_bytes());
        Ok(Self {
            program: SchedClassifier::from_program_info(info, "snat_tc".into())?,
            context,
        })
    }

    /// Gives it these frames, one after the other, on the CPU of the packets: how long it took for each. Every one must
    /// be sent on.
    pub(crate) fn run(&self, port: &Port<'_>, frames: &[Vec<u8>]) -> Result<Vec<Duration>> {
        port.netns.enter(|| {
            sys::enter_busy_cpu()?;
            frames.iter().map(|frame| self.run_one(frame)).collect()
        })
    }

    fn run_one(&self, frame: &[u8]) -> Result<Duration> {
        let result = self
            .program
            .test_run(TestRunOptions {
                data_in: Some(frame),
                ctx_in: Some(&self.context),
                ..TestRunOptions::new()
            })
            .context("running snat_tc on a frame")?;
        ensure!(
            result.return_value == SENT,
            "snat_tc returned {} for a packet that it was to send on",
            result.return_value.cast_signed()
        );
        Ok(result.duration)
    }
}
