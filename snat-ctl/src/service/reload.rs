//! SIGHUP: the daemon's own file is read again, and applied.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sd_notify::NotifyState;
use tokio::sync::{mpsc::Sender, oneshot};

use super::notify;
use crate::{
    apply::Outcome,
    control::{Answer, Asked, Request},
    instance::Record,
    last_errors,
};

/// Reads and applies the file, and says what came of it; one that is wrong leaves everything as it is.
pub(super) async fn reload(name: String, path: PathBuf, ask: Sender<Asked>) {
    // sd_notify(3): the clock goes with it.
    let mut reloading = vec![NotifyState::Reloading];
    reloading.extend(NotifyState::monotonic_usec_now());
    notify(&reloading);
    match apply(&path, &ask).await {
        Ok(outcome) => tell(&name, &outcome),
        Err(why) => refuse(&name, &path, &why),
    }
    notify(&[NotifyState::Ready]);
}

async fn apply(path: &Path, ask: &Sender<Asked>) -> Result<Outcome, String> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("cannot read the configuration {}: {error}", path.display()))?;
    let (reply, answer) = oneshot::channel();
    let request = Request::Apply {
        path: path.to_owned(),
        text,
        dry_run: false,
    };
    let asked = ask.send(Asked { request, reply }).await;
    match asked.ok().and(answer.await.ok()) {
        Some(Answer::Applied(outcome)) => Ok(outcome),
        Some(Answer::Refused { message, .. }) => Err(message),
        None => Err("this daemon is about to end".to_owned()),
    }
}

fn tell(name: &str, outcome: &Outcome) {
    for warning in &outcome.warnings {
        last_errors::warn(name, warning);
    }
    if outcome.is_nothing() {
        eprintln!("reloaded: nothing has changed");
        return;
    }
    for change in &outcome.changes {
        eprintln!("reloaded: {change}");
    }
    eprintln!("reloaded: {} flows were ended", outcome.flows_ended);
}

fn refuse(name: &str, path: &Path, why: &str) {
    for line in why.lines() {
        last_errors::warn(name, &format!("reload: {line}"));
    }
    let what = format!("{} was refused: {why}", path.display());
    if let Err(error) = Record::update(name, |record| record.refused = Some(what)) {
        eprintln!("warning: {error:#}");
    }
}
