//! The story: for a person as it happens, for a machine as one document at the end.

use std::process;

use anyhow::Result;
use serde_json::json;
use snat_tests::lab::{Scenario, Step, Story};

use super::{Args, standing};
use crate::{
    sandbox::{self, Sandbox},
    story,
};

/// Lets the scenario happen in a sandbox. Exits with 1 if something was wrong; what it was has been told.
pub(super) fn tell(scenario: &Scenario, args: &Args) -> Result<()> {
    sandbox::enter(Sandbox {
        network: true,
        processes: !args.keep,
    })?;
    if !args.json {
        println!(
            "{}: {}\n\n{}\n",
            scenario.name, scenario.about, scenario.drawing
        );
    }
    let mut show = |number: usize, step: &Step| {
        if !args.json {
            story::print(number, step);
        }
    };
    let mut story = Story::new(&mut show);
    let standing = match scenario.run(&mut story, &args.datapath) {
        Ok(standing) if args.keep => Some(standing),
        Ok(mut standing) => {
            standing.take_down(&mut story);
            None
        }
        // The step that failed has been told.
        Err(_) if !story.steps().is_empty() => None,
        Err(error) => return Err(error.context(format!("building {} failed", scenario.name))),
    };
    if args.json {
        let document = json!({
            "scenario": scenario.name,
            "ok": story.ok(),
            "steps": story.steps(),
            "standing": standing.as_deref().map(standing::document),
        });
        println!("{document:#}");
    } else {
        story::print_summary(&story);
    }
    if let Some(standing) = standing {
        if !args.json {
            standing::print(&*standing)?;
        }
        standing::stay(story.ok())?;
    }
    process::exit(i32::from(!story.ok()))
}
