//! `snat-ctl eni`: policy routes.

mod apply;
mod import;
mod plan;
mod remove;
mod render;
mod status;
mod verify;

use std::{path::Path, process::ExitCode};

use anyhow::Context as _;

use crate::{
    cli::{
        DEFAULT_CONFIG, Global,
        eni::{EniArgs, EniCommand},
    },
    config::{ConfigError, File},
    eni::{Store, control::Intent},
};

/// Does what the verb says.
///
/// # Errors
///
/// A wrong configuration or a host that it does not fit: nothing was changed then. Else what failed.
pub fn execute(global: &Global, args: &EniArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        EniCommand::Plan => plan::execute(global, args),
        EniCommand::Apply(apply) => apply::execute(global, args, apply),
        EniCommand::Confirm => apply::confirm(),
        EniCommand::Revert => apply::revert(),
        EniCommand::Verify(verify) => verify::execute(global, args, verify),
        EniCommand::Status => status::execute(global, args),
        EniCommand::Remove => remove::execute(),
        EniCommand::Import(import) => import::execute(args, import),
        EniCommand::Render(render) => render::execute(global, args, render),
        EniCommand::Guard => apply::guard(),
    }
}

/// What the file says.
fn configured(global: &Global, args: &EniArgs) -> anyhow::Result<Intent> {
    let path = args.config.as_deref().unwrap_or(Path::new(DEFAULT_CONFIG));
    let file = File::load_for(path, global.name.as_deref())?;
    for warning in &file.warnings {
        eprintln!("warning: {warning}");
    }
    let routing = file.routing.ok_or(ConfigError::NoEni {
        path: path.to_owned(),
    })?;
    Ok(Intent {
        instance: file.name,
        config: file.path,
        routing,
    })
}

/// What the file says if one is named, else what was applied, else what the default file says.
fn intended(global: &Global, args: &EniArgs, store: &Store) -> anyhow::Result<Intent> {
    if args.config.is_none()
        && let Some(applied) = store.applied()?
    {
        return Ok(applied.into());
    }
    configured(global, args).context("nothing is applied, so a configuration is needed")
}
