//! States that no start leaves behind by itself: each is told of with what to do, and traffic does not notice.

mod files;
mod killed;
mod places;

use anyhow::{Result, ensure};
use snat_tests::{
    gateway::Gateway,
    unnoticed::{refusal, unnoticed},
};

/// As [`refusal`], and in the kernel all is as it was.
fn refused(gateway: &Gateway, before: &str, says: &[&str]) -> Result<()> {
    let objects = gateway.objects()?;
    let said = refusal(gateway, before, &[])?;
    let after = gateway.objects()?;
    for text in says {
        ensure!(said.contains(text), "it never says {text:?}: {said}");
    }
    ensure!(after == objects, "{objects:?} became {after:?}");
    Ok(())
}
