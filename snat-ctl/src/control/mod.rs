//! How a daemon is asked to do something: over a Unix socket, one request and one answer, both JSON.
//!
//! `/run/snat/NAME.sock`, for root alone. The sender ends his side behind the request, and reads the answer to its end.

mod client;
mod server;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

pub use self::{client::ask, server::serve};
use crate::apply::Outcome;

/// What can be asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// To bring the instance to this configuration.
    Apply {
        /// Where it was read, for messages, and to be compared with later.
        path: PathBuf,
        /// The whole of it.
        text: String,
        /// Only say what would change.
        dry_run: bool,
    },
}

/// What is answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// [`Request::Apply`] is done, or would do this.
    Applied(Outcome),
    /// Why nothing was done.
    Refused {
        /// In words for a person.
        message: String,
        /// Whether the configuration itself is wrong.
        configuration: bool,
    },
}

/// A request that waits for its answer.
pub struct Asked {
    /// What.
    pub request: Request,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Answer>,
}
