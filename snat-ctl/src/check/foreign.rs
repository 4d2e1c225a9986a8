//! XDP programs of others on an interface: never replaced, never detached.

use std::collections::HashSet;

use aya::programs::loaded_programs;

use super::Finding;
use crate::{
    config::Datapath,
    datapath::{Pins, pinned_hooks},
    netlink::{Link, XdpMode},
};

/// Ids of the programs that the instance has attached, by its pinned links.
pub(super) fn own_programs(instance: &str) -> HashSet<u32> {
    let hooks = pinned_hooks(&Pins::of(instance)).into_iter();
    hooks.map(|hook| hook.program).collect()
}

pub(super) fn findings(link: &Link, datapath: Datapath, own: &HashSet<u32>) -> Vec<Finding> {
    let foreign = link.xdp.iter().filter(|program| !own.contains(&program.id));
    foreign
        .map(|program| {
            let mode = match program.mode {
                XdpMode::Native => "native",
                XdpMode::Generic => "generic",
                XdpMode::Hardware => "hardware",
            };
            let name = program_name(program.id);
            let what = format!(
                "{} has an XDP program of somebody else: {name:?}, id {}, {mode} mode",
                link.name, program.id
            );
            verdict(what, &link.name, datapath)
        })
        .collect()
}

fn verdict(what: String, interface: &str, datapath: Datapath) -> Finding {
    let id = "interface.foreign_xdp";
    let off = format!("if it is not needed: ip link set dev {interface} xdp off");
    let finding = if datapath == Datapath::Tc {
        let why = "it sees every packet first, and what it takes never reaches the gateway";
        Finding::warn(id, what, why, off)
    } else {
        let why = "an interface takes one XDP program, and somebody else's is never replaced";
        Finding::fatal(
            id,
            what,
            why,
            format!("{off}; to work behind it: datapath = \"tc\""),
        )
    };
    finding.about(interface)
}

fn program_name(id: u32) -> String {
    loaded_programs()
        .filter_map(Result::ok)
        .find(|program| program.id() == id)
        .and_then(|program| program.name_as_str().map(str::to_owned))
        .unwrap_or_else(|| "?".to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{super::Severity, Datapath, findings};
    use crate::netlink::{Link, XdpMode, XdpProgram};

    fn link(id: u32) -> Link {
        Link {
            index: 2,
            name: "eth0".to_owned(),
            mac: None,
            mtu: 1500,
            up: true,
            running: true,
            ethernet: true,
            kind: None,
            xdp: vec![XdpProgram {
                id,
                mode: XdpMode::Generic,
            }],
        }
    }

    #[test]
    fn a_foreign_program_is_named_and_fatal_unless_tc_works_behind_it() {
        let none = HashSet::new();
        // No program ever has the id 0, so its name is unknown.
        for (datapath, severity) in [
            (Datapath::Auto, Severity::Fatal),
            (Datapath::Xdp, Severity::Fatal),
            (Datapath::XdpGeneric, Severity::Fatal),
            (Datapath::Tc, Severity::Warn),
        ] {
            let [finding] = &findings(&link(0), datapath, &none)[..] else {
                panic!("one")
            };
            assert_eq!(finding.severity, severity, "{datapath:?}");
            assert!(
                finding.what.ends_with("\"?\", id 0, generic mode"),
                "{finding}"
            );
        }
    }

    #[test]
    fn the_instances_own_program_is_not_foreign() {
        assert_eq!(findings(&link(7), Datapath::Xdp, &HashSet::from([7])), []);
    }
}
