//! The live screen.

use std::time::{Duration, Instant};

use super::{
    keys::{self, Then},
    look::Looker,
    sampler::Sampler,
    state::State,
    terminal::Terminal,
};

/// How late a look, a signal or another size of the terminal may be noticed.
const BEAT: Duration = Duration::from_millis(100);

/// Draws, looks and hears keys until the end is asked for.
pub(super) fn show(looker: Looker, state: &mut State) -> anyhow::Result<()> {
    let mut terminal = Terminal::take()?;
    let sampler = Sampler::start(looker);
    while !terminal.is_ended()? {
        if let Some(asked) = state.ask(Instant::now()) {
            sampler.ask(asked)?;
        }
        terminal.draw(state)?;
        if let Some(key) = terminal.key(BEAT)?
            && keys::press(state, key, Instant::now()) == Then::Quit
        {
            break;
        }
        if let Some(answer) = sampler.answer()? {
            state.take(answer, Instant::now());
        }
    }
    Ok(())
}
