//! The daemon's side of the socket.

use std::{fs, io, os::unix::fs::PermissionsExt as _, time::Duration};

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    sync::{mpsc::Sender, oneshot},
    time::timeout,
};

use super::{Answer, Asked};
use crate::instance::{self, SOCKET};

/// Longest request: a configuration is far shorter.
const MOST: u64 = 16 << 20;
/// How long whoever asks may take to say what.
const PATIENCE: Duration = Duration::from_secs(10);

/// Begins to listen, in place of a daemon that is gone; what is asked goes to `requests`.
///
/// # Errors
///
/// When the socket can't be made.
pub fn serve(name: &str, requests: Sender<Asked>) -> anyhow::Result<()> {
    let path = instance::file(name, SOCKET);
    let new = path.with_extension("sock.new");
    let _ = fs::remove_file(&new);
    let listener = UnixListener::bind(&new).and_then(|listener| {
        // Before it has its name: nobody else shall ever reach it.
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
        fs::rename(&new, &path)?;
        Ok(listener)
    });
    let listener = listener.with_context(|| format!("cannot listen on {}", path.display()))?;
    tokio::spawn(accept(listener, requests));
    Ok(())
}

async fn accept(listener: UnixListener, requests: Sender<Asked>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(converse(stream, requests.clone()))),
            // No file left, or who asked has gone already.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Whoever does not wait for his answer does without it.
async fn converse(mut stream: UnixStream, requests: Sender<Asked>) {
    let answer = match timeout(PATIENCE, read(&mut stream)).await {
        Ok(Ok(text)) => answer(&text, &requests).await,
        _ => None,
    };
    let Some(answer) = answer else { return };
    if let Ok(text) = serde_json::to_vec(&answer) {
        let _ = timeout(PATIENCE, stream.write_all(&text)).await;
    }
}

async fn read(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    stream.take(MOST).read_to_end(&mut text).await?;
    Ok(text)
}

async fn answer(text: &[u8], requests: &Sender<Asked>) -> Option<Answer> {
    let request = match serde_json::from_slice(text) {
        Ok(request) => request,
        Err(error) => {
            return Some(Answer::Refused {
                message: format!(
                    "the daemon does not understand the request ({error}): is it of another version? Restart it; no flow is lost by that"
                ),
                configuration: false,
            });
        }
    };
    let (reply, answer) = oneshot::channel();
    requests.send(Asked { request, reply }).await.ok()?;
    answer.await.ok()
}
