//! `snat-ctl import`: NAT rules that are there already, as a configuration.

use std::{
    fs::{self, File, Permissions},
    io::{self, Read as _, Write as _},
    os::{
        fd::AsFd as _,
        unix::fs::{FileTypeExt as _, PermissionsExt as _},
    },
    path::Path,
    process::ExitCode,
};

use anyhow::Context as _;
use tempfile::NamedTempFile;

use super::WrongUsage;
use crate::{
    cli::{Global, import::ImportArgs},
    import::{self, Given, ImportError, Imported, Note},
    output,
};

const LEFT_SOMETHING_OUT: u8 = 3;

/// Prints the configuration, and on standard error what is not in it; exits 3 if there is such.
///
/// # Errors
///
/// When the rules cannot be read or are none, or the result cannot be written.
pub fn execute(global: &Global, args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let given = Given {
        name: global.name.clone(),
        interfaces: args.interface.clone(),
    };
    let imported = match source(args)? {
        Some(text) => import::text(&text, args.format, &given),
        None => import::live(&given),
    };
    let imported = imported.map_err(|error| match error {
        ImportError::NoRules(_) | ImportError::Interface { .. } => {
            WrongUsage(error.to_string()).into()
        }
        error => anyhow::Error::new(error),
    })?;
    if let (Some(path), Some(config)) = (&args.output, &imported.config) {
        write(path, config)?;
    }
    if args.json {
        output::print_json(&imported)?;
    } else {
        eprint!("{}", told(&imported));
        if args.output.is_none() {
            output::print(imported.config.as_deref().unwrap_or_default())?;
        }
    }
    Ok(if imported.is_whole() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(LEFT_SOMETHING_OUT)
    })
}

/// The text to read; `None` for the kernel's rules.
fn source(args: &ImportArgs) -> anyhow::Result<Option<String>> {
    let unreadable = |what: String| {
        move |error: io::Error| {
            anyhow::Error::new(WrongUsage(format!("cannot read {what}: {error}")))
        }
    };
    match &args.file {
        Some(file) if file != Path::new("-") => {
            let bytes = fs::read(file).map_err(unreadable(file.display().to_string()))?;
            Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
        }
        None if args.live || !input_is_given() => Ok(None),
        _ => {
            let mut bytes = Vec::new();
            let read = io::stdin().read_to_end(&mut bytes);
            read.map_err(unreadable("standard input".to_owned()))?;
            Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
        }
    }
}

/// Whether standard input is a pipe or a file: a terminal, `/dev/null` and a socket, as of ssh, give no rules.
fn input_is_given() -> bool {
    let input = io::stdin().as_fd().try_clone_to_owned().map(File::from);
    let kind = input
        .and_then(|input| input.metadata())
        .map(|metadata| metadata.file_type());
    kind.is_ok_and(|kind| kind.is_fifo() || kind.is_file())
}

fn write(path: &Path, config: &str) -> anyhow::Result<()> {
    if fs::read(path).is_ok_and(|there| there == config.as_bytes()) {
        return Ok(());
    }
    let context = || format!("cannot write the configuration to {}", path.display());
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let mut file = NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).with_context(context)?;
    file.write_all(config.as_bytes()).with_context(context)?;
    // Of a temporary file they are its owner's alone; there is nothing secret in it.
    let readable = Permissions::from_mode(0o644);
    file.as_file()
        .set_permissions(readable)
        .with_context(context)?;
    let there = |error: &io::Error| error.kind() == io::ErrorKind::AlreadyExists;
    match file.persist_noclobber(path) {
        Err(error) if there(&error.error) => Err(anyhow::Error::new(error.error)
            .context(format!("{}: name a file that is not there yet", context()))),
        written => written
            .map(drop)
            .map_err(|error| error.error)
            .with_context(context),
    }
}

/// For people: each note, then how many there are.
fn told(imported: &Imported) -> String {
    let notes = imported.notes.iter().map(line);
    let mut text: String = notes.collect();
    if imported.config.is_none() {
        text.push_str("nothing to import: no rule translates addresses for clients of this host\n");
    }
    let Imported {
        rules, translated, ..
    } = imported;
    let named = rules - translated;
    text.push_str(&format!(
        "rules: {rules}, translated: {translated}, named above: {named}\n"
    ));
    text
}

fn line(note: &Note) -> String {
    let Note {
        kind,
        rule,
        why,
        fix,
        ..
    } = note;
    let rule = if note.at.is_empty() {
        rule.clone()
    } else {
        format!("{}: `{rule}`", note.at)
    };
    let kind = kind.name();
    format!("{kind}: {rule}\n  why: {why}\n  fix: {fix}\n")
}
