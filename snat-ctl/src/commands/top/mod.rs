//! `snat-ctl top`: what happens now, on a screen that follows it.
//!
//! One thread looks at the maps when it is asked to ([`sampler`]), the other draws and hears keys ([`live`]): keys are
//! heard while a large table is walked. What is on the screen is a pure function ([`screen`]) of a state that only
//! keys and looks change ([`state`], [`keys`]).

#[cfg(test)]
mod fixture;
mod heading;
mod help;
mod keys;
mod listing;
mod live;
mod look;
mod once;
mod orders;
mod sampler;
mod screen;
mod state;
mod terminal;

use std::{
    io::{IsTerminal as _, stdin, stdout},
    process::ExitCode,
    time::Instant,
};

use self::{look::Looker, orders::Orders, state::State};
use super::{WrongUsage, flows::loaded};
use crate::cli::{
    Global,
    top::{TopArgs, word},
};

/// Shows the instance until `q`, SIGINT, SIGTERM or SIGHUP, or once. Needs no daemon.
///
/// # Errors
///
/// When nothing is loaded under that name, its maps can't be read, or there is no terminal and `--once` is not given.
pub fn execute(global: &Global, args: &TopArgs) -> anyhow::Result<ExitCode> {
    let name = global.instance();
    let orders = orders(args)?;
    loaded(name)?;
    let mut looker = Looker::new(name);
    if args.json {
        once::json(&mut looker, args, orders)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut state = State::new(name, args, orders, Instant::now());
    if args.once {
        once::screen(&mut looker, &mut state)?;
    } else if stdin().is_terminal() && stdout().is_terminal() {
        live::show(looker, &mut state)?;
    } else {
        return Err(WrongUsage(
            "cannot show a live screen: this is no terminal; `snat-ctl top --once` prints one screen, --json its numbers".to_owned(),
        )
        .into());
    }
    Ok(ExitCode::SUCCESS)
}

/// The orders that the arguments ask for.
fn orders(args: &TopArgs) -> anyhow::Result<Orders> {
    let mut orders = Orders::default();
    if let Some(sort) = args.sort
        && !orders.set(args.view, sort)
    {
        let sorts: Vec<_> = args.view.sorts().iter().map(word).collect();
        return Err(WrongUsage(format!(
            "cannot sort {} by {}; they are sorted by {}",
            word(&args.view),
            word(&sort),
            sorts.join(", ")
        ))
        .into());
    }
    if args.reverse {
        orders.reverse(args.view);
    }
    Ok(orders)
}
