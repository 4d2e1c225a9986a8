//! Finds a Rust toolchain for eBPF and compiles the datapath with it.
//!
//! `snat-ctl/build.rs` and `cargo xtask` both ask here, so there is one answer to "can this machine build
//! the datapath, and if not, what is missing". No prebuilt `core` for BPF comes with rustup; the two ways
//! around that are the variants of [`Toolchain`].

mod cache;
mod compile;
pub mod distribution;
mod inner;
pub mod linker;
mod missing;
mod nightly;
mod rustc;

use std::{fmt, path::PathBuf};

pub use cache::cache;
pub use compile::{BENCH, BuildError, BuildOptions, OBJECTS, folder, nameless_paths, target_dir};
pub use missing::{Missing, Want};
pub use rustc::Rustc;

/// A compiler and a linker that together make eBPF objects.
///
/// [`find`](Self::find) prefers the distribution's compiler: it is a release that changes only with the
/// distribution, its `core` is prebuilt, and the linker beside it is built against the very same LLVM.
/// A nightly changes every day, and with it now and then the LLVM that a `bpf-linker` must match.
#[derive(Clone, Debug)]
pub enum Toolchain {
    /// The distribution's `rustc`, which has a prebuilt `core` for BPF.
    Distribution {
        /// The compiler.
        rustc: Rustc,
        /// `bpf-linker` built against the compiler's LLVM.
        linker: PathBuf,
    },
    /// rustup's nightly, which builds `core` from the `rust-src` component.
    Nightly {
        /// The compiler.
        rustc: Rustc,
        /// `bpf-linker`, from our cache or from `PATH`.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// Looks for a complete toolchain; installs and changes nothing.
    ///
    /// # Errors
    ///
    /// [`Missing`] names, for either way, what is not there and the command that gets it.
    pub fn find() -> Result<Self, Missing> {
        let distribution = match distribution::find() {
            Ok((rustc, linker)) => return Ok(Self::Distribution { rustc, linker }),
            Err(wants) => wants,
        };
        match nightly::find() {
            Ok((rustc, linker)) => Ok(Self::Nightly { rustc, linker }),
            Err(nightly) => Err(Missing {
                distribution,
                nightly,
            }),
        }
    }

    /// The compiler.
    #[must_use]
    pub fn rustc(&self) -> &Rustc {
        match self {
            Self::Distribution { rustc, .. } | Self::Nightly { rustc, .. } => rustc,
        }
    }

    /// The linker.
    #[must_use]
    pub fn linker(&self) -> &PathBuf {
        match self {
            Self::Distribution { linker, .. } | Self::Nightly { linker, .. } => linker,
        }
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Distribution { .. } => "the distribution's rustc",
            Self::Nightly { .. } => "rustup's nightly",
        };
        let (rustc, linker) = (self.rustc(), self.linker().display());
        write!(
            f,
            "{name} {}, LLVM {}, linker {linker}",
            rustc.release, rustc.llvm
        )
    }
}
