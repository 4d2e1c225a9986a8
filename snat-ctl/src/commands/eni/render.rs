//! `snat-ctl eni render`: the same intent for machines without `snat-ctl`.

use std::process::ExitCode;

use serde::Serialize;

use super::configured;
use crate::{
    cli::{
        Global,
        eni::{EniArgs, RenderArgs},
    },
    eni::{
        Store,
        control::Prepared,
        render::{self, Intent},
    },
    output,
};

pub(super) fn execute(
    global: &Global,
    args: &EniArgs,
    render: &RenderArgs,
) -> anyhow::Result<ExitCode> {
    let store = Store::open()?;
    let prepared = Prepared::new(configured(global, args)?, &store, &[])?.refuse_misfit()?;
    let found = &prepared.found.interfaces;
    let mut interfaces = prepared.host.interfaces();
    interfaces.retain(|interface| found.iter().any(|eni| eni.index == interface.ifindex));
    let place = |index: u32| found.iter().position(|eni| eni.index == index);
    interfaces.sort_by_key(|interface| place(interface.ifindex));
    let rendered = render::render(
        render.format,
        &Intent {
            interfaces: &interfaces,
            rules: &prepared.desired.rules,
            routes: &prepared.desired.routes,
            tables: &prepared.table_names(),
        },
    )?;
    if args.json {
        let files = rendered.files.iter().map(|file| File {
            path: &file.path,
            mode: format!("{:04o}", file.mode),
            text: &file.text,
        });
        output::print_json(&Report {
            files: files.collect(),
            left_out: &rendered.left_out,
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    for note in &prepared.found.notes {
        eprintln!("note: {note}");
    }
    for sentence in &rendered.left_out {
        eprintln!("warning: {sentence}");
    }
    for (index, file) in rendered.files.iter().enumerate() {
        let gap = if index == 0 { "" } else { "\n" };
        // One file is printed as it is, to be piped into it.
        let title = if rendered.files.len() > 1 {
            format!("{gap}# ---- {}\n", file.path)
        } else {
            String::new()
        };
        output::print(&format!("{title}{}", file.text))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The JSON form, whose names are part of the contract.
#[derive(Serialize)]
struct Report<'a> {
    files: Vec<File<'a>>,
    left_out: &'a [String],
}

#[derive(Serialize)]
struct File<'a> {
    path: &'a str,
    /// Permissions, octal.
    mode: String,
    text: &'a str,
}
