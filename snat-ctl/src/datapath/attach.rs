//! Hooks: which programs go where, and what is in the way.
//!
//! Links are pinned under `links/HOOK-INTERFACE`. A second start finds them and replaces the program
//! behind each in one step, so that no packet passes in between.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use aya::programs::{
    LinkOrder, ProgramError, TcAttachType, XdpMode,
    links::{FdLink, LinkError, PinnedLink},
    tc::{SchedClassifierLink, TcAttachOptions},
    xdp::XdpLink,
};

use super::{LoadError, Pins, builds::Programs, clsact};
use crate::{
    config::Datapath,
    netlink::{self, Link},
};

/// Where a program sits on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hook {
    /// XDP, in the driver or generic.
    Xdp,
    /// TC on the way in.
    Ingress,
    /// TC on the way out.
    Egress,
}

/// Which way an interface's packets are translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// XDP in the driver, TC behind it.
    Xdp,
    /// XDP in the stack, TC behind it.
    XdpGeneric,
    /// TC alone.
    Tc,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Xdp => "xdp",
            Self::XdpGeneric => "xdp-generic",
            Self::Tc => "tc",
        })
    }
}

/// What became of an interface.
#[derive(Clone, Debug)]
pub struct Attached {
    /// Its name.
    pub interface: String,
    /// How it works now.
    pub mode: Mode,
    /// Whether TC is a filter on clsact, because the kernel has no TCX.
    pub clsact: bool,
    /// Why not faster, where `auto` had to choose.
    pub reason: Option<String>,
}

/// Why a program could not be attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The kernel refused.
    #[error("cannot attach {what} to {interface}: {}", chain(source))]
    Refused {
        /// Which program and mode.
        what: &'static str,
        /// The interface.
        interface: String,
        /// What the kernel said.
        source: ProgramError,
    },
    /// The link could not be pinned or taken over.
    #[error("cannot pin the link {}: {reason}", path.display())]
    Pin {
        /// Where.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
    /// The programs at work could not be opened.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// Attaches the programs at work to every interface, in place of ours that are there.
///
/// `auto` is XDP on all or on none: a driver that takes no program takes no frames that XDP sends to it
/// from elsewhere either, and they would be lost without a word.
///
/// # Errors
///
/// [`AttachError`] of the first interface that refused.
pub fn attach_all(
    pins: &Pins,
    links: &[Link],
    wanted: Datapath,
) -> Result<Vec<Attached>, AttachError> {
    let programs = &mut Programs::open(pins)?;
    let mut all = Vec::new();
    for link in links {
        all.push(attach(programs, pins, link, wanted)?);
    }
    let slow = all.iter().find(|one| one.mode == Mode::Tc);
    let Some(why) = slow.and_then(|one| one.reason.clone()) else {
        return Ok(all);
    };
    for (link, one) in links.iter().zip(&mut all) {
        if one.mode != Mode::Tc {
            *one = attach(programs, pins, link, Datapath::Tc)?;
            one.reason = Some(format!("another interface takes no XDP: {why}"));
        }
    }
    Ok(all)
}

/// Attaches everything an interface needs, or replaces what is attached there.
///
/// # Errors
///
/// [`AttachError`]. What was attached to this interface before the failure is pinned: the caller
/// removes it if it was not there before.
fn attach(
    programs: &mut Programs,
    pins: &Pins,
    link: &Link,
    wanted: Datapath,
) -> Result<Attached, AttachError> {
    // First the two that work alone, so that XDP never passes on what nobody takes.
    let guarded = attach_tc(programs, pins, link, Hook::Egress)?;
    let clsact = attach_tc(programs, pins, link, Hook::Ingress)? || guarded;
    let attached = |mode, reason| Attached {
        interface: link.name.clone(),
        mode,
        clsact,
        reason,
    };
    match wanted {
        Datapath::Tc => {
            unpin(&pin_path(pins, Hook::Xdp, &link.name))?;
            Ok(attached(Mode::Tc, None))
        }
        Datapath::Xdp => {
            attach_xdp(programs, pins, link, XdpMode::Driver)?;
            Ok(attached(Mode::Xdp, None))
        }
        Datapath::XdpGeneric => {
            attach_xdp(programs, pins, link, XdpMode::Skb)?;
            Ok(attached(Mode::XdpGeneric, None))
        }
        Datapath::Auto => match attach_xdp(programs, pins, link, XdpMode::Driver) {
            Ok(()) => Ok(attached(Mode::Xdp, None)),
            Err(error) => Ok(attached(Mode::Tc, Some(error.to_string()))),
        },
    }
}

/// Detaches from interfaces that the configuration no longer lists.
///
/// # Errors
///
/// [`AttachError::Pin`].
pub fn detach_others(pins: &Pins, interfaces: &[String]) -> Result<(), AttachError> {
    for name in pins.link_names() {
        let listed = name.split_once('-').is_some_and(|(_, interface)| {
            interfaces
                .iter()
                .any(|wanted| wanted.replace('.', ":") == interface)
        });
        if !listed {
            unpin(&pins.links().join(name))?;
        }
    }
    Ok(())
}

/// The pin of a hook's link. A file in bpffs has no dot in its name; an interface has no colon.
fn pin_path(pins: &Pins, hook: Hook, interface: &str) -> PathBuf {
    let hook = match hook {
        Hook::Xdp => "xdp",
        Hook::Ingress => "ingress",
        Hook::Egress => "egress",
    };
    pins.links()
        .join(format!("{hook}-{}", interface.replace('.', ":")))
}

fn attach_xdp(
    programs: &mut Programs,
    pins: &Pins,
    link: &Link,
    mode: XdpMode,
) -> Result<(), AttachError> {
    let what = match mode {
        XdpMode::Skb => "XDP (generic)",
        _ => "XDP (native)",
    };
    let refused = |source| AttachError::Refused {
        what,
        interface: link.name.clone(),
        source,
    };
    let program = programs.xdp().map_err(refused)?;
    let path = pin_path(pins, Hook::Xdp, &link.name);
    let same_mode = link.xdp.iter().any(|program| {
        program.mode
            == match mode {
                XdpMode::Skb => netlink::XdpMode::Generic,
                _ => netlink::XdpMode::Native,
            }
    });
    if same_mode && let Some(old) = pinned(&path)? {
        let old = XdpLink::try_from(old).map_err(|error| pin_error(&path, &error))?;
        if program.attach_to_link(old).is_ok() {
            return Ok(());
        }
    }
    // Of another mode, or of an interface that is gone.
    unpin(&path)?;
    let id = program
        .attach_to_if_index(link.index, mode)
        .map_err(refused)?;
    pin(program.take_link(id).map_err(refused)?, &path)
}

/// Returns whether it had to be a filter on clsact.
fn attach_tc(
    programs: &mut Programs,
    pins: &Pins,
    link: &Link,
    hook: Hook,
) -> Result<bool, AttachError> {
    let (program, what, kind) = match hook {
        Hook::Egress => (
            &mut programs.egress,
            "the TC egress program",
            TcAttachType::Egress,
        ),
        Hook::Ingress | Hook::Xdp => (
            &mut programs.ingress,
            "the TC ingress program",
            TcAttachType::Ingress,
        ),
    };
    let refused = |source| AttachError::Refused {
        what,
        interface: link.name.clone(),
        source,
    };
    let path = pin_path(pins, hook, &link.name);
    if let Some(old) = pinned(&path)? {
        let old = SchedClassifierLink::try_from(old).map_err(|error| pin_error(&path, &error))?;
        if program.attach_to_link(old).is_ok() {
            return Ok(false);
        }
        unpin(&path)?;
    }
    let order = TcAttachOptions::TcxOrder(LinkOrder::default());
    let id = if clsact::is_forced() {
        None
    } else {
        match program.attach_with_options(&link.name, kind, order) {
            Err(error) if clsact::is_needed(&error) => None,
            attached => Some(attached.map_err(refused)?),
        }
    };
    let Some(id) = id else {
        clsact::attach(program, &link.name, kind).map_err(refused)?;
        return Ok(true);
    };
    pin(program.take_link(id).map_err(refused)?, &path)?;
    Ok(false)
}

fn pin<L>(link: L, path: &Path) -> Result<(), AttachError>
where
    FdLink: TryFrom<L, Error = LinkError>,
{
    let link = FdLink::try_from(link).map_err(|error| pin_error(path, &error))?;
    link.pin(path)
        .map(drop)
        .map_err(|error| pin_error(path, &error))
}

fn pinned(path: &Path) -> Result<Option<FdLink>, AttachError> {
    match PinnedLink::from_pin(path) {
        Ok(link) => Ok(Some(link.into())),
        Err(LinkError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(pin_error(path, &error)),
    }
}

fn unpin(path: &Path) -> Result<(), AttachError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(pin_error(path, &error)),
        _ => Ok(()),
    }
}

fn pin_error(path: &Path, error: &dyn std::error::Error) -> AttachError {
    AttachError::Pin {
        path: path.to_owned(),
        reason: chain(error),
    }
}

/// An error with its causes, which the library's own messages leave out.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
