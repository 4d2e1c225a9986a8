//! placeholder until merged
use std::path::Path;
/// Slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Mark.
    pub mark: u32,
    /// Weight.
    pub weight: u32,
}
/// i
pub fn install(_: &Path, _: u32, _: &[Slot]) -> anyhow::Result<()> {
    Ok(())
}
/// r
pub fn remove(_: &Path) -> anyhow::Result<bool> {
    Ok(false)
}
/// c
pub fn chosen(_: &Path) -> anyhow::Result<Option<Vec<(Slot, u64)>>> {
    Ok(None)
}
