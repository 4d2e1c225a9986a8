//! The gateway ends and comes back while it is watched; and every way out leaves the terminal as it was.

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::{Busy, SMALL};

const CLIENT: &str = "172.16.1.11 ";

#[test]
fn a_gateway_that_is_unloaded_is_waited_for_and_watched_again() -> Result<()> {
    let mut busy = Busy::start()?;
    let top = busy.top(&[], SMALL)?;
    top.shows(&[CLIENT, "kbit/s", "daemon"])?;
    let gateway = &mut busy.scene.gateway;
    gateway.ctl(&["unload"])?;
    let loaded = format!("no datapath of instance {:?} is", gateway.name());
    top.shows(&[&loaded, "Waiting; this goes on by itself"])?;
    ensure!(!top.text().contains(CLIENT), "{}", top.text());
    gateway.start_again()?;
    top.shows(&[CLIENT, "kbit/s", &format!("daemon {}", gateway.pid())])?;
    ensure!(!top.text().contains("Waiting"), "{}", top.text());
    Ok(())
}

#[test]
fn a_daemon_that_ends_and_starts_is_said_and_traffic_is_shown_all_the_while() -> Result<()> {
    let mut busy = Busy::start()?;
    let top = busy.top(&[], SMALL)?;
    top.shows(&[CLIENT, "kbit/s"])?;
    let gateway = &mut busy.scene.gateway;
    gateway.stop()?;
    top.shows(&[CLIENT, "kbit/s", "daemon stopped"])?;
    gateway.start_again()?;
    top.shows(&[CLIENT, "kbit/s", &format!("daemon {}", gateway.pid())])
}

#[test]
fn every_way_out_leaves_the_terminal_as_it_was() -> Result<()> {
    let busy = Busy::start()?;
    for key in ["q", "\u{3}", "?q", "/\u{3}"] {
        let mut top = busy.top(&[], SMALL)?;
        top.shows(&["q quit"])?;
        top.press(key)?;
        let status = top.end()?;
        ensure!(status.success(), "{key:?}: {status}");
    }
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let top = busy.top(&[], SMALL)?;
        top.shows(&["q quit"])?;
        top.signal(signal)?;
        let status = top.end()?;
        ensure!(status.success(), "{signal}: {status}");
    }
    Ok(())
}
