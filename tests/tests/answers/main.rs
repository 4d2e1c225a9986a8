//! The gateway says what it refuses: at once, to the one it concerns, with right checksums, and not too often.

mod checksums;
mod invalid;
mod outside;
mod rate;
mod refused;
mod resets;

/// How soon "at once" is, on a slow machine.
pub(crate) const SOON: std::time::Duration = std::time::Duration::from_secs(1);
/// How long what must happen in the end may take.
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// One flow and no more for each client.
pub(crate) const ONE_FLOW: &str = "\n[limits]\nflows_per_source = 1\n";

/// A test for each datapath, given its name.
macro_rules! datapaths {
    ($($name:ident: $test:ident, $datapath:literal;)+) => {
        $(#[test]
        fn $name() -> anyhow::Result<()> {
            $test($datapath)
        })+
    };
}
pub(crate) use datapaths;
