//! Scenarios: the documented setups as stories that happen, told step by step with what each side saw.
//!
//! One file per scenario; a new one is listed in [`SCENARIOS`] and nowhere else.

mod eni;
mod standalone;
mod story;

use anyhow::Result;

pub use story::{Observation, Step, Story};

use crate::netns::Netns;

/// Every scenario there is.
pub const SCENARIOS: &[Scenario] = &[standalone::SCENARIO, eni::SCENARIO];

/// A setup and what is done in it.
pub struct Scenario {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it shows, in a sentence.
    pub about: &'static str,
    /// The network, drawn.
    pub drawing: &'static str,
    run: fn(&mut Story<'_>, &str) -> Result<Box<dyn Standing>>,
}

impl Scenario {
    /// The scenario of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }

    /// Builds it and lets it happen. An error means that it could not be told to its end; whether all
    /// was right is for [`Story::ok`] to say. `datapath` is as in the configuration.
    pub fn run(&self, story: &mut Story<'_>, datapath: &str) -> Result<Box<dyn Standing>> {
        (self.run)(story, datapath)
    }
}

/// What a scenario leaves standing. Dropping it takes everything down.
pub trait Standing {
    /// The namespaces, in the order in which a person is told of them.
    fn namespaces(&self) -> Vec<&Netns>;

    /// Arguments of `snat-ctl` that show something in there.
    fn example(&self) -> &'static str;

    /// Takes it down as an operator would, and looks at what is left.
    fn take_down(&mut self, story: &mut Story<'_>);
}
