//! Which programs a datapath is brought up with.

use crate::{
    config::Config,
    datapath::{Pins, build_at_work, load, previous_build, roll_back, this_build},
    trace::{TraceFilter, Tracer},
};

/// Which programs are to be at work.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// This program's, of which those that a filter takes tell of packets.
    Own(Option<TraceFilter>),
    /// Those of the build before.
    Previous,
    /// Those that are: whoever changes only the configuration upgrades nothing, and takes no upgrade back.
    Present,
}

impl Wanted {
    /// Has them ready for the interfaces, and says which if that changes.
    pub(super) fn provide(&self, config: &Config, pins: &Pins) -> anyhow::Result<Option<Tracer>> {
        let trace = match self {
            Self::Own(trace) => trace,
            Self::Previous => {
                roll_back(pins, config.gateway.max_flows)?;
                eprintln!("{}", rolled_back(pins));
                return Ok(None);
            }
            Self::Present => return Ok(None),
        };
        let before = build_at_work(pins);
        let mut ebpf = load(pins, &config.gateway, trace.as_ref())?;
        if let Some(before) = before.filter(|before| before != this_build()) {
            eprintln!(
                "upgraded from build {before} to {}; `snat-ctl run --rollback` goes back",
                this_build()
            );
        }
        let tracer = trace.as_ref().map(|_| Tracer::start(&mut ebpf));
        tracer.transpose()
    }
}

fn rolled_back(pins: &Pins) -> String {
    let name = |build: Option<String>| build.unwrap_or_default();
    format!(
        "rolled back: the programs of build {} are at work again; those of {} are kept, and `snat-ctl run --rollback` goes forth to them again",
        name(build_at_work(pins)),
        name(previous_build(pins))
    )
}
