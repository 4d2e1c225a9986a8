//! An operator is logged in by eth1's address and applies what cuts this very connection off.

use std::time::Duration;

use anyhow::{Result, ensure};
use snat_tests::{
    eni::section,
    session::{Session, Talked},
    topology::enis::{ETH0, ETH1, Eni},
    traffic::SSH,
};

use super::{Scene, blackhole};

/// Far less than a session waits for a line: TCP waits up to twice as long.
const GIVEN: Duration = Duration::from_secs(1);

#[test]
fn a_rule_that_silences_the_operator_s_address() -> Result<()> {
    cut_off_and_back(&blackhole())
}

#[test]
fn a_configuration_without_the_operator_s_interface() -> Result<()> {
    cut_off_and_back(&section(&ETH0, ""))
}

#[test]
fn a_gateway_that_is_nobody() -> Result<()> {
    let nobody = Eni {
        gateway: "172.16.20.9".parse()?,
        ..ETH1
    };
    cut_off_and_back(&section(&nobody, ""))
}

/// Fails unless the session stalls, and goes on by itself when the change is taken back.
fn cut_off_and_back(config: &str) -> Result<()> {
    let scene = Scene::applied()?;
    let session = Session::open(&scene.enis.srv, (ETH1.eip, SSH))?;
    let begin = scene.try_for(GIVEN, config)?;
    scene.taken_back(begin, GIVEN)?;
    let Talked { lines, longest } = session.talked()?;
    println!("held up for {} ms, {lines} lines", longest.as_millis());
    ensure!(
        longest > Duration::from_millis(500),
        "nobody was cut off: no line took longer than {longest:?}"
    );
    ensure!(lines > 1, "the session had no time to suffer");
    Ok(())
}
