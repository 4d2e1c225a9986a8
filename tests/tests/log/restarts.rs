//! The daemon ends, is killed, starts again: the file alone still answers.

use std::net::SocketAddrV4;

use anyhow::{Context as _, Result, ensure};
use snat_tests::wait;

use crate::book::{Logged, SOON, endpoint};

#[test]
fn what_happens_without_a_daemon_is_logged_by_the_next() -> Result<()> {
    let mut logged = Logged::start("xdp", "", "", "")?;
    let before = logged.speak(0, 4000)?;
    logged.book.await_event("mapping_made", before)?;
    logged.scene.gateway.kill()?;
    let meanwhile = logged.speak(1, 5000)?;
    logged.scene.gateway.start_again()?;
    let made = logged.book.await_event("mapping_made", meanwhile)?;
    ensure!(
        endpoint(&made, "client")? == SocketAddrV4::new(logged.addr(1), 5000),
        "{made}"
    );
    // What lives is said again, so that what came before need not be known.
    wait::until(SOON, "all that lives is said again", || {
        let lines = logged.book.lines()?;
        let started = lines
            .iter()
            .rposition(|line| line["event"] == "log_started");
        let made_at = lines.iter().position(|line| *line == made);
        ensure!(made_at < started, "{lines:#?}");
        for (client, port, external) in [(0, 4000, before), (1, 5000, meanwhile)] {
            let client = SocketAddrV4::new(logged.addr(client), port);
            let mut said = lines.iter().skip(started.unwrap_or_default());
            let present = said.any(|line| {
                line["event"] == "mapping_present"
                    && endpoint(line, "external").is_ok_and(|end| end == external)
                    && endpoint(line, "client").is_ok_and(|end| end == client)
            });
            ensure!(present, "{lines:#?}");
        }
        Ok(())
    })
}

#[test]
fn the_last_line_says_that_the_log_ends_however_the_daemon_is_ended() -> Result<()> {
    let mut logged = Logged::start("tc", "", "", "")?;
    let external = logged.speak(0, 4000)?;
    logged.book.await_event("mapping_made", external)?;
    logged.scene.gateway.stop()?;
    ended(&logged, 1)?;
    logged.scene.gateway.set_arguments(&["--detach-on-exit"]);
    logged.scene.gateway.start_again()?;
    logged.scene.gateway.stop()?;
    ended(&logged, 2)?;
    logged.scene.gateway.set_arguments(&[]);
    logged.scene.gateway.start_again()?;
    logged.scene.gateway.ctl(&["unload"])?;
    ended(&logged, 3)
}

/// The log has been ended so many times, and says nothing after that.
fn ended(logged: &Logged, times: usize) -> Result<()> {
    let lines = logged.book.lines()?;
    let last = lines.last().context("an empty log")?;
    ensure!(
        last["event"] == "log_stopped" && last["lost_total"] == 0,
        "{lines:#?}"
    );
    ensure!(
        logged.book.count("log_stopped")? == times,
        "{times}: {lines:#?}"
    );
    Ok(())
}

#[test]
fn a_log_that_is_switched_on_begins_with_what_lives() -> Result<()> {
    let mut logged = Logged::start("tc", "", "", "")?;
    let config = std::fs::read_to_string(logged.scene.gateway.config())?;
    let (without, _) = config.split_once("[log]").unwrap_or((&config, ""));
    logged.scene.gateway.stop()?;
    std::fs::write(logged.scene.gateway.config(), without)?;
    logged.scene.gateway.start_again()?;
    std::fs::remove_file(&logged.book.path)?;
    let silent = logged.speak(0, 4000)?;
    logged.scene.gateway.stop()?;
    ensure!(!logged.book.path.exists(), "written to though it is off");
    std::fs::write(logged.scene.gateway.config(), &config)?;
    logged.scene.gateway.start_again()?;
    let present = logged.book.await_event("mapping_present", silent)?;
    ensure!(
        endpoint(&present, "client")? == SocketAddrV4::new(logged.addr(0), 4000),
        "{present}"
    );
    ensure!(
        logged.book.count("mapping_made")? == 0,
        "{:#?}",
        logged.book.lines()?
    );
    Ok(())
}
