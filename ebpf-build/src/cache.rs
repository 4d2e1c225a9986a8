//! Where the project keeps what it installs for itself.

use std::{env, path::PathBuf};

/// The folder, by the XDG base directory rules; `None` if the user has no home for it.
#[must_use]
pub fn cache() -> Option<PathBuf> {
    let absolute = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(cache.join("snat-ctl"))
}
