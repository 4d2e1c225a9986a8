//! Scenarios: the documented setups as stories that happen, told step by step with what each side saw.
//!
//! One file per scenario; a new one is listed in [`SCENARIOS`] and nowhere else.

mod standalone;
mod story;

use std::{any::Any, path::PathBuf};

use anyhow::Result;

pub use story::{Observation, Step, Story};

use crate::{gateway::Gateway, topology::Topology};

/// Every scenario there is.
pub const SCENARIOS: &[Scenario] = &[standalone::SCENARIO];

/// A setup and what is done in it.
pub struct Scenario {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it shows, in a sentence.
    pub about: &'static str,
    /// The network, drawn.
    pub drawing: &'static str,
    run: fn(&mut Story<'_>, &str) -> Result<Standing>,
}

impl Scenario {
    /// The scenario of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }

    /// Builds it and lets it happen. An error means that it could not be told to its end; whether all
    /// was right is for [`Story::ok`] to say. `datapath` is as in the configuration.
    pub fn run(&self, story: &mut Story<'_>, datapath: &str) -> Result<Standing> {
        (self.run)(story, datapath)
    }
}

/// What a scenario leaves standing. Dropping it takes everything down.
pub struct Standing {
    gateways: Vec<Gateway>,
    _services: Vec<Box<dyn Any>>,
    topology: Topology,
}

impl Standing {
    /// The gateways.
    #[must_use]
    pub fn gateways(&self) -> &[Gateway] {
        &self.gateways
    }

    /// Names and files of the namespaces, clients first.
    pub fn namespaces(&self) -> impl Iterator<Item = (&str, PathBuf)> {
        self.topology
            .namespaces()
            .map(|netns| (netns.name(), netns.path()))
    }

    /// Takes the gateways down as an operator would, and looks at what is left of them.
    pub fn take_down(mut self, story: &mut Story<'_>) {
        for gateway in &mut self.gateways {
            story.step("The gateway is taken down", |step| {
                gateway.stop()?;
                gateway.ctl(&["unload"])?;
                let pins = PathBuf::from("/sys/fs/bpf/snat").join(gateway.name());
                step.saw(
                    "gw",
                    "snat-ctl unload: no pin of the instance is left",
                    !pins.exists(),
                );
                Ok(())
            });
        }
    }
}
