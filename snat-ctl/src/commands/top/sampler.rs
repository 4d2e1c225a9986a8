//! The thread that looks: one look at a time, each when it is asked for.

use std::{
    sync::mpsc::{Receiver, Sender, TryRecvError, channel},
    thread,
};

use anyhow::{Context as _, anyhow};

use super::look::{Asked, Looker, Seen};

/// What a look came to, or why it could not be.
pub(super) type Answer = anyhow::Result<Seen>;

pub(super) struct Sampler {
    asks: Sender<Asked>,
    answers: Receiver<Answer>,
}

impl Sampler {
    /// Ends with its handle, or after the look that is under way.
    pub(super) fn start(mut looker: Looker) -> Self {
        let (asks, asked) = channel();
        let (answer, answers) = channel();
        thread::spawn(move || {
            for ask in asked {
                if answer.send(looker.look(&ask)).is_err() {
                    return;
                }
            }
        });
        Self { asks, answers }
    }

    pub(super) fn ask(&self, asked: Asked) -> anyhow::Result<()> {
        self.asks.send(asked).ok().context(ENDED)
    }

    /// What it has come to, if it has.
    pub(super) fn answer(&self) -> anyhow::Result<Option<Answer>> {
        match self.answers.try_recv() {
            Ok(answer) => Ok(Some(answer)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(anyhow!(ENDED)),
        }
    }
}

const ENDED: &str = "cannot look at the gateway any more: the thread that does has ended";
