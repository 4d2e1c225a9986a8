//! `snat-ctl man`: the manual, made from the same source as the help.

use std::{fs, path::Path, process::ExitCode};

use anyhow::Context as _;
use clap::CommandFactory as _;

use crate::{
    cli::{Cli, ManArgs},
    output,
};

/// Prints every page one after the other, or writes them to `args.dir`.
///
/// # Errors
///
/// When standard output, the directory or a page cannot be written.
pub fn execute(args: &ManArgs) -> anyhow::Result<ExitCode> {
    let pages = pages()?;
    match &args.dir {
        None => output::print(&pages.into_iter().map(|page| page.roff).collect::<String>())?,
        Some(dir) => write_pages(dir, &pages)?,
    }
    Ok(ExitCode::SUCCESS)
}

struct Page {
    name: String,
    roff: String,
}

fn pages() -> anyhow::Result<Vec<Page>> {
    // `help` repeats what each page says.
    let mut root = Cli::command().disable_help_subcommand(true);
    root = root.mut_subcommands(|verb| verb.disable_help_subcommand(true));
    root.build();
    let mut pages = Vec::new();
    collect(&root, &mut pages)?;
    Ok(pages)
}

fn collect(command: &clap::Command, pages: &mut Vec<Page>) -> anyhow::Result<()> {
    let name = command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
        .to_owned();
    let mut roff = Vec::new();
    clap_mangen::Man::new(command.clone())
        .source(concat!("snat-ctl ", env!("CARGO_PKG_VERSION")))
        .manual("SNAT gateway")
        .render(&mut roff)?;
    pages.push(Page {
        name,
        roff: String::from_utf8(roff)?,
    });
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        collect(verb, pages)?;
    }
    Ok(())
}

fn write_pages(dir: &Path, pages: &[Page]) -> anyhow::Result<()> {
    fs::create_dir_all(dir)
        .with_context(|| format!("cannot make the directory {}", dir.display()))?;
    for page in pages {
        let path = dir.join(format!("{}.1", page.name));
        fs::write(&path, &page.roff)
            .with_context(|| format!("cannot write the page {}", path.display()))?;
    }
    Ok(())
}
