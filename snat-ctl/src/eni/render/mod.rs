//! The same intent for machines without `snat-ctl`: a script, or files for what manages their network.
//!
//! Nothing here asks the kernel. What a format has no words for is left out and said ([`Rendered::left_out`]);
//! `owner` finds the interface that a rule or route goes with, where a format wants one.

mod iproute2;
mod netplan;
mod networkd;
mod owner;
mod windows;

use std::collections::BTreeMap;

use super::{Action, Interface, Route, RouteKind, Rule};

/// All that the kernel should hold, by us. Each rule and route comes with a few words that say why.
#[derive(Clone, Copy, Debug)]
pub struct Intent<'a> {
    /// The ENIs, in the configuration's order.
    pub interfaces: &'a [Interface],
    /// Rules, in any order: their priorities count.
    pub rules: &'a [(Rule, String)],
    /// Routes, guards first.
    pub routes: &'a [(Route, String)],
    /// Names of tables.
    pub tables: &'a BTreeMap<u32, String>,
}

/// What can be made of it; the words that `--format` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A shell script of `ip` commands.
    Iproute2,
    /// Files for systemd-networkd.
    Networkd,
    /// A file for netplan.
    Netplan,
    /// A command script for Windows.
    Windows,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// At least one.
    pub files: Vec<File>,
    /// What the format has no words for, one sentence each; it stands in the files as well.
    pub left_out: Vec<String>,
}

/// A file to put on the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it belongs.
    pub path: String,
    /// Its text.
    pub text: String,
    /// Its permissions.
    pub mode: u32,
}

/// Why nothing was rendered.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RenderError {
    /// There is no ENI.
    #[error("rendering: there is no ENI; add an [[eni]] to the configuration")]
    Empty,
    /// An interface's name would need quoting that differs from format to format.
    #[error(
        "rendering: interface {0:?} has a name with other characters than letters, digits and \"._:@-\"; rename it \
         (`ip link set … name …`)"
    )]
    Name(String),
    /// Something that is not of our making.
    #[error("rendering: `{0}` has parts that snat-ctl does not make; leave it out")]
    Foreign(String),
    /// A route leads by an interface that is not among the ENIs.
    #[error(
        "rendering: `{route}` leads by {dev}, which is not among the ENIs; add an [[eni]] for it"
    )]
    NoInterface {
        /// The route.
        route: String,
        /// Its interface.
        dev: String,
    },
}

/// Renders an intent.
///
/// # Errors
///
/// [`RenderError`]; what a format cannot say is no error.
pub fn render(format: Format, intent: &Intent<'_>) -> Result<Rendered, RenderError> {
    check(intent)?;
    Ok(match format {
        Format::Iproute2 => iproute2::render(intent),
        Format::Networkd => networkd::render(intent),
        Format::Netplan => netplan::render(intent),
        Format::Windows => windows::render(intent),
    })
}

fn check(intent: &Intent<'_>) -> Result<(), RenderError> {
    if intent.interfaces.is_empty() {
        return Err(RenderError::Empty);
    }
    for interface in intent.interfaces {
        plain(&interface.name)?;
    }
    for (rule, _) in intent.rules {
        if !rule.unknown.is_empty() || matches!(rule.action, Action::Other(_)) {
            return Err(RenderError::Foreign(rule.to_string()));
        }
        rule.iif
            .iter()
            .chain(&rule.oif)
            .try_for_each(|name| plain(name))?;
    }
    intent
        .routes
        .iter()
        .try_for_each(|(route, _)| known(route, intent.interfaces))
}

fn known(route: &Route, interfaces: &[Interface]) -> Result<(), RenderError> {
    if !route.unknown.is_empty() || matches!(route.kind, RouteKind::Other(_)) {
        return Err(RenderError::Foreign(route.to_string()));
    }
    match &route.dev {
        Some(dev) if interfaces.iter().all(|interface| interface.name != *dev) => {
            Err(RenderError::NoInterface {
                route: route.to_string(),
                dev: dev.clone(),
            })
        }
        _ => Ok(()),
    }
}

/// The kernel takes any name without a slash or white space; a shell, YAML and networkd's globs would not.
fn plain(name: &str) -> Result<(), RenderError> {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"._:@-".contains(&byte);
    if name.bytes().all(fine) {
        Ok(())
    } else {
        Err(RenderError::Name(name.to_owned()))
    }
}

/// What becomes of a rule that a format has no words for.
fn left_out(rule: &Rule, why: &str) -> String {
    let family = rule.family.option();
    format!("`ip {family} rule add {rule}` is left out: {why}")
}

/// A comment of one line.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests;
