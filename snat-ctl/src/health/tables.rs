//! Tables and ports: room left.

use super::Problem;
use crate::datapath::{self, MapError, Occupancy, Pins, Ports, Room};

/// From here on a client with more than an equal share is refused (`share_limit`).
const FULL: f64 = 7.0 / 8.0;
/// Ports: of so many taken the rest is soon gone.
const NEARLY: f64 = 0.9;

/// How full everything is.
#[derive(Clone, Debug)]
pub struct Tables {
    /// Flows, as the datapath itself counts them.
    pub flows: Room,
    /// What is beside the flow table.
    pub occupancy: Occupancy,
}

/// Counts it all: a walk through the mappings, in batches.
///
/// # Errors
///
/// [`MapError`].
pub fn tables(pins: &Pins) -> Result<Tables, MapError> {
    Ok(Tables {
        flows: datapath::crowd(pins)?.0,
        occupancy: datapath::occupancy(pins)?,
    })
}

pub(super) fn problems(tables: &Tables) -> Vec<Problem> {
    let Occupancy {
        mapping_elements,
        clients,
        ports,
        mappings: _,
        forwards: _,
    } = &tables.occupancy;
    let mut problems = Vec::new();
    problems.extend(pressure("flows", tables.flows, "raise gateway.max_flows (takes snat-ctl unload) or limit clients with limits.flows_per_source; `snat-ctl flows` shows who has them"));
    problems.extend(pressure(
        "mappings",
        *mapping_elements,
        "raise gateway.max_flows (takes snat-ctl unload); each mapping takes two, and each server that filtering = \"address-dependent\" has let in one",
    ));
    problems.extend(pressure(
        "clients",
        *clients,
        "further clients go uncounted and unlimited: use another gateway for some of them",
    ));
    problems.extend(ports.iter().filter_map(few_ports));
    problems
}

fn pressure(what: &'static str, room: Room, remedy: &str) -> Option<Problem> {
    (share(room.used, room.max) >= FULL).then(|| {
        let Room { used, max } = room;
        Problem::degraded(
            "table.pressure",
            format!("table of {what} nearly full: {used} of {max}"),
            remedy,
        )
        .about(what)
    })
}

fn few_ports(ports: &Ports) -> Option<Problem> {
    let Ports {
        external,
        protocol,
        resting,
        ..
    } = ports;
    let Room { used: taken, max } = ports.room();
    (share(taken, max) >= NEARLY).then(|| {
        Problem::degraded(
            "ports.pressure",
            format!(
                "{external} {protocol}: {taken} of {max} ports taken, {resting} of them resting"
            ),
            "list more external addresses or more ports, or shorten timeouts; `snat-ctl flows` shows who has them",
        )
        .about(format!("{external} {protocol}"))
    })
}

fn share(used: u64, max: u64) -> f64 {
    used as f64 / max.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::{Occupancy, Ports, Room, Tables, problems};

    fn tables(flows: u64, used: u64, resting: u64) -> Tables {
        let room = |used| Room { used, max: 800 };
        Tables {
            flows: room(flows),
            occupancy: Occupancy {
                mappings: room(0),
                mapping_elements: room(0),
                forwards: 0,
                clients: room(0),
                ports: vec![Ports {
                    external: [192, 0, 2, 1].into(),
                    protocol: "udp",
                    used,
                    resting,
                    max: 100,
                }],
            },
        }
    }

    #[test]
    fn room_enough_is_no_problem() {
        assert_eq!(problems(&tables(699, 80, 9)), []);
    }

    #[test]
    fn permissions_fill_the_table_of_mappings_too() {
        let mut tables = tables(0, 0, 0);
        tables.occupancy.mappings.used = 100;
        tables.occupancy.mapping_elements.used = 700;
        let found = problems(&tables);
        assert_eq!(found[0].subject.as_deref(), Some("mappings"), "{found:?}");
    }

    #[test]
    fn a_nearly_full_table_and_resting_ports_count() {
        let found = problems(&tables(700, 80, 10));
        let ids: Vec<_> = found
            .iter()
            .map(|problem| (problem.id, problem.subject.as_deref()))
            .collect();
        assert_eq!(
            ids,
            [
                ("table.pressure", Some("flows")),
                ("ports.pressure", Some("192.0.2.1 udp"))
            ]
        );
    }
}
