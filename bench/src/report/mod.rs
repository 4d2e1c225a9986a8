//! What is told of a run: a table for people, what the targets say, JSON with all numbers, and plots.

mod files;
mod json;
mod machine;
mod plots;
mod tables;
mod targets;

use std::path::Path;

use anyhow::{Context as _, Result};

pub(crate) use machine::Machine;

use crate::{
    bench::Options,
    report::{files::write, tables::Style, targets::Verdict},
    results::Results,
};

/// All that there is to tell.
pub(crate) struct Report<'a> {
    /// Where it was measured.
    pub(crate) machine: Machine,
    /// How thoroughly.
    pub(crate) options: Options,
    /// The numbers.
    pub(crate) results: &'a Results,
    verdicts: Vec<Verdict>,
    notes: Vec<String>,
}

impl<'a> Report<'a> {
    /// Draws the conclusions.
    pub(crate) fn new(machine: Machine, options: Options, results: &'a Results) -> Self {
        let mut notes = results.notes().to_vec();
        if options.quick {
            notes.push("Measured with --quick: the numbers mean little.".to_owned());
        }
        Self {
            machine,
            options,
            results,
            verdicts: targets::verdicts(results),
            notes,
        }
    }

    /// Prints the tables, and writes the files.
    pub(crate) fn tell(&self, out: &Path, json: Option<&Path>) -> Result<()> {
        println!("{}", tables::text(self, Style::Plain));
        std::fs::create_dir_all(out).with_context(|| format!("creating {}", out.display()))?;
        let document = serde_json::to_string_pretty(&json::document(self))? + "\n";
        for file in json.into_iter().chain([out.join("results.json").as_path()]) {
            write(file, &document)?;
        }
        write(&out.join("table.md"), &tables::text(self, Style::Markdown))?;
        for (file, svg) in plots::draw(self.results)? {
            write(&out.join(file), &svg)?;
        }
        Ok(())
    }
}
