//! Programs: attached where the record says that they were.

use super::{Host, Look, Problem, Severity};
use crate::{
    datapath::{PinnedHook, clsact, pinned_hooks, tcx_programs},
    instance::RecordedInterface,
    netlink::Link,
};

const REMEDY: &str = "find out who takes it away (bpftool net; snat-ctl check), then restart the daemon: \
                      systemctl restart snat-ctl, or snat-ctl run; no flow is lost by that";

/// Of each interface that is there; without a record nobody knows what there should be.
pub(super) fn problems(look: &Look<'_>, host: &Host) -> Vec<Problem> {
    let pinned = pinned_hooks(look.pins);
    let Some(record) = &host.record else {
        return vec![Problem::degraded(
            "record.missing",
            format!(
                "the daemon has not said yet what it is attached to (/run/snat/{}.json)",
                look.name
            ),
            "look again when it has started; if that stays, start it anew",
        )];
    };
    let there = record
        .interfaces
        .iter()
        .filter_map(|interface| Some((interface, host.link(&interface.name)?)));
    there
        .flat_map(|(interface, link)| of_interface(interface, link, &pinned))
        .collect()
}

fn of_interface(interface: &RecordedInterface, link: &Link, pinned: &[PinnedHook]) -> Vec<Problem> {
    let id = |hook: &str| {
        let mut own = pinned.iter();
        own.find(|pinned| pinned.hook == hook && pinned.interface == interface.name)
            .map(|pinned| pinned.program)
    };
    let mut problems = Vec::new();
    if interface.mode.starts_with("xdp") && !xdp_is_attached(link, id("xdp")) {
        problems.push(missing(link, "XDP", Severity::Degraded, &without_xdp(link)));
    }
    for (hook, ingress, without) in [
        (
            "ingress",
            true,
            "what XDP does not take is not translated: no new flow begins here",
        ),
        (
            "egress",
            false,
            "nothing stops a client's packet that would leave untranslated",
        ),
    ] {
        let attached = if interface.clsact {
            clsact::is_attached(link.index, ingress).unwrap_or(true)
        } else {
            tcx_is_attached(link, id(hook), ingress)
        };
        if !attached {
            let name = format!("TC {hook}");
            problems.push(missing(link, &name, Severity::Critical, without));
        }
    }
    problems
}

fn xdp_is_attached(link: &Link, pinned: Option<u32>) -> bool {
    pinned.is_some_and(|id| link.xdp.iter().any(|program| program.id == id))
}

/// What can't be asked is not taken for missing.
fn tcx_is_attached(link: &Link, pinned: Option<u32>, ingress: bool) -> bool {
    let Some(id) = pinned else {
        return false;
    };
    tcx_programs(&link.name, ingress).map_or(true, |programs| {
        programs.iter().any(|(other, _)| *other == id)
    })
}

fn without_xdp(link: &Link) -> String {
    match link.xdp.first() {
        Some(other) => format!(
            "program {} of somebody else is there; TC translates what it lets on, at a lower packet rate",
            other.id
        ),
        None => "TC translates instead, at a lower packet rate".to_owned(),
    }
}

fn missing(link: &Link, hook: &str, severity: Severity, without: &str) -> Problem {
    let name = &link.name;
    let what = format!("{name}: the {hook} program is not attached; {without}");
    Problem::new(severity, "hook.missing", what, REMEDY).about(name)
}
