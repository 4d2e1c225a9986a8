//! Steps, and what each side saw in them.

use anyhow::Result;
use serde::Serialize;

/// A sequence of steps, told as they happen.
pub struct Story<'a> {
    tell: &'a mut dyn FnMut(usize, &Step),
    steps: Vec<Step>,
}

/// Something that was done.
#[derive(Debug, Serialize)]
pub struct Step {
    /// What was done.
    pub title: String,
    /// What each side saw of it.
    pub observations: Vec<Observation>,
    /// A table that belongs to it, as printed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
}

/// What one side saw.
#[derive(Debug, Serialize)]
pub struct Observation {
    /// Who: a host of the drawing.
    pub who: String,
    /// What.
    pub saw: String,
    /// Whether that is as it must be.
    pub ok: bool,
}

impl<'a> Story<'a> {
    /// A story that calls `tell` with each step and its number once it is over.
    pub fn new(tell: &'a mut dyn FnMut(usize, &Step)) -> Self {
        Self {
            tell,
            steps: Vec::new(),
        }
    }

    /// Does a step. An error in it is an observation too, and the story goes on. Returns whether all was right.
    pub fn step(&mut self, title: &str, body: impl FnOnce(&mut Step) -> Result<()>) -> bool {
        let mut step = Step {
            title: title.to_owned(),
            observations: Vec::new(),
            table: None,
        };
        if let Err(error) = body(&mut step) {
            step.saw("lab", format!("{error:#}"), false);
        }
        let ok = step.ok();
        (self.tell)(self.steps.len() + 1, &step);
        self.steps.push(step);
        ok
    }

    /// Whether something was seen and all of it was right.
    #[must_use]
    pub fn ok(&self) -> bool {
        !self.steps.is_empty() && self.steps.iter().all(Step::ok)
    }

    /// What has been told.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

impl Step {
    /// Adds what `who` saw and whether it is as it must be.
    pub fn saw(&mut self, who: &str, saw: impl Into<String>, ok: bool) {
        self.observations.push(Observation {
            who: who.to_owned(),
            saw: saw.into(),
            ok,
        });
    }

    fn ok(&self) -> bool {
        self.observations.iter().all(|observation| observation.ok)
    }
}
