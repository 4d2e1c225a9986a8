//! The terminal, taken and given back: on every way out it is as it was.

use std::{io, time::Duration};

use anyhow::Context as _;
use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyEvent},
};

use super::{screen::Screen, state::State};

/// The terminal in raw mode, with another screen than the one the shell writes to. A panic gives it back, too.
pub(super) struct Terminal {
    terminal: DefaultTerminal,
    signals: SignalFd,
}

impl Terminal {
    /// Takes it. To be called before there are other threads: signals are held back in those that this one starts.
    pub(super) fn take() -> anyhow::Result<Self> {
        let signals = signals().context("cannot wait for signals")?;
        let terminal = ratatui::try_init().inspect_err(|_| ratatui::restore());
        Ok(Self {
            terminal: terminal.context("cannot take the terminal")?,
            signals,
        })
    }

    /// Draws what has changed, in whatever size it has now.
    pub(super) fn draw(&mut self, state: &State) -> anyhow::Result<()> {
        self.terminal
            .draw(|frame| frame.render_widget(Screen(state), frame.area()))
            .context("cannot draw on the terminal")?;
        Ok(())
    }

    /// A key, if one is pressed within that time.
    pub(super) fn key(&self, within: Duration) -> anyhow::Result<Option<KeyEvent>> {
        let event =
            || -> io::Result<Option<Event>> { event::poll(within)?.then(event::read).transpose() };
        let event = event().context("cannot read keys")?;
        Ok(event.and_then(|event| event.as_key_press_event()))
    }

    /// Whether a signal has asked for the end.
    pub(super) fn is_ended(&self) -> anyhow::Result<bool> {
        let signal = self.signals.read_signal().context("cannot read signals")?;
        Ok(signal.is_some())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn signals() -> nix::Result<SignalFd> {
    let asking = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];
    let set: SigSet = asking.into_iter().collect();
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}
