//! `snat-ctl eni remove`: nothing of ours is left, and nothing else is touched.

use std::process::ExitCode;

use super::plan::diff;
use crate::{
    eni::{Store, removal},
    output,
};

pub(super) fn execute() -> anyhow::Result<ExitCode> {
    let store = Store::open()?;
    let _lock = store.lock()?;
    let removed = removal::remove(&store)?;
    output::print(&if removed.is_empty() {
        "there was nothing to remove\n".to_owned()
    } else {
        diff(&removed, "removed")
    })?;
    Ok(ExitCode::SUCCESS)
}
