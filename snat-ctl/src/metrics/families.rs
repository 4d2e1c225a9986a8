//! Which values go out under which names: part of the contract.
//!
//! Labels are few and bounded: names of verdicts, events, protocols and states, the configuration's external addresses
//! and interfaces. Never a client's or a server's address.

use std::{fmt, time::UNIX_EPOCH};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use snat_common::{Event, Verdict, tries};

use super::{page::Page, sample::Sample};
use crate::datapath::{self, Pool, Room};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const ANSWERS: [(&str, Event); 2] = [
    ("sent", Event::AnswerSent),
    ("held_back", Event::AnswerHeldBack),
];
const REMOVED: [(&str, Event); 7] = [
    ("idle", Event::RemovedIdle),
    ("closed", Event::RemovedClosed),
    ("reset", Event::RemovedReset),
    ("unanswered", Event::RemovedUnanswered),
    ("flushed", Event::RemovedFlushed),
    ("undone", Event::RemovedUndone),
    ("config", Event::RemovedConfig),
];

impl Collector for Sample {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let page = &mut Page(encoder);
        self.traffic(page)?;
        self.flows(page)?;
        self.ports(page)?;
        self.tables(page)?;
        self.gateway(page)?;
        self.daemon(page)
    }
}

impl Sample {
    fn traffic(&self, page: &mut Page<'_>) -> fmt::Result {
        let by_direction = |which: fn((u64, u64)) -> u64| {
            datapath::translated(&self.verdicts)
                .map(|(direction, count)| ([("direction", direction)], which(count)))
        };
        page.counters(
            "packets",
            "Packets that left translated: out to a server, or in to a client",
            by_direction(|(packets, _)| packets),
        )?;
        page.counters(
            "bytes",
            "Bytes of those packets, Ethernet headers included",
            by_direction(|(_, bytes)| bytes),
        )?;
        page.counters(
            "verdict_packets",
            "Packets by what became of them; one that goes round has a verdict each time",
            Verdict::ALL.iter().map(|verdict| {
                let (verdict, action) = (*verdict, verdict.action().name());
                let labels = [("verdict", verdict.name()), ("action", action)];
                (labels, self.verdict(verdict).0)
            }),
        )?;
        page.counters(
            "drops",
            "Packets that were dropped",
            Verdict::drops().map(|verdict| ([("reason", verdict.name())], self.verdict(verdict).0)),
        )?;
        page.counters(
            "answers",
            "ICMP errors and RSTs of the gateway itself, sent or held back by answers_per_second",
            ANSWERS.map(|(outcome, event)| ([("outcome", outcome)], self.event(event))),
        )
    }

    fn flows(&self, page: &mut Page<'_>) -> fmt::Result {
        page.counter(
            "flows_created",
            "Flows that were opened",
            self.event(Event::FlowOpened),
        )?;
        page.counter(
            "flows_let_in",
            "Of those, flows that were opened from outside",
            self.event(Event::FlowLetIn),
        )?;
        page.counters(
            "flows_removed",
            "Flows that were removed, by why they ended",
            REMOVED.map(|(reason, event)| ([("reason", reason)], self.event(event))),
        )?;
        page.counters(
            "events",
            "What happens to flows and mappings beside a packet's verdict",
            Event::ALL
                .iter()
                .map(|event| ([("event", event.name())], self.event(*event))),
        )?;
        let Some(census) = &self.census else {
            return Ok(());
        };
        page.gauges(
            "flows",
            "Flows in the table, as the last census found them",
            census
                .counted
                .flows()
                .into_iter()
                .map(|((protocol, state), count)| {
                    ([("protocol", protocol), ("state", state)], count)
                }),
        )
    }

    fn ports(&self, page: &mut Page<'_>) -> fmt::Result {
        let each = |which: fn(&Pool) -> u64| {
            self.pools.iter().map(move |pool| {
                let external = pool.external.to_string();
                let labels = [
                    ("external", external),
                    ("protocol", pool.protocol.to_owned()),
                ];
                (labels, which(pool))
            })
        };
        page.gauges(
            "ports_used",
            "External ports that are a client endpoint's own and have flows",
            each(|pool| pool.used),
        )?;
        page.gauges(
            "ports_resting",
            "External ports without flows, kept for their last owner",
            each(|pool| pool.resting),
        )?;
        page.gauges(
            "ports_capacity",
            "External ports that may be handed out",
            each(|pool| pool.capacity),
        )?;
        let counts = self.tries.iter().zip(0..tries::BUCKETS);
        let bounded = counts.map(|(count, bucket)| match bucket + 1 {
            tries::BUCKETS => (f64::INFINITY, *count),
            _ => (f64::from(1_u32 << bucket), *count),
        });
        page.histogram(
            "port_claim_tries",
            "Ports that a search tried before it had one, or none",
            self.tries.last().copied().unwrap_or_default(),
            &bounded.collect::<Vec<_>>(),
        )
    }

    fn tables(&self, page: &mut Page<'_>) -> fmt::Result {
        let each = |which: fn(&Room) -> u64| {
            let tables = self.tables.iter();
            tables.map(move |(table, room)| ([("table", *table)], which(room)))
        };
        page.gauges("table_used", "What a table holds", each(|room| room.used))?;
        page.gauges("table_max", "What a table can hold", each(|room| room.max))
    }

    fn gateway(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauges(
            "build_info",
            "Version of snat-ctl, and of the layout of the maps",
            [([("version", VERSION), ("abi", &self.abi.to_string())], 1)],
        )?;
        page.gauges(
            "gateway_info",
            "The instance",
            [([("name", self.name.as_str())], 1)],
        )?;
        page.gauges(
            "interface_info",
            "How the datapath is attached to each interface",
            self.interfaces.iter().map(|interface| {
                let mode = interface.mode.as_str();
                ([("interface", interface.name.as_str()), ("mode", mode)], 1)
            }),
        )?;
        page.gauges(
            "ha_role",
            "The role that is 1 is this gateway's",
            [([("role", "standalone")], 1)],
        )?;
        page.gauge(
            "config_generation",
            "Grows with each change of the configuration, and of links, addresses, routes and neighbours",
            self.generation.into(),
        )
    }

    fn daemon(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge(
            "daemon_running",
            "1 while `snat-ctl run` ages out flows and follows the host's network",
            f64::from(u8::from(self.daemon)),
        )?;
        if let Some(census) = &self.census {
            let at = census.at.duration_since(UNIX_EPOCH).unwrap_or_default();
            page.gauge(
                "census_timestamp_seconds",
                "When flows by state, ports and mappings were counted",
                at.as_secs_f64(),
            )?;
        }
        if let Some(sweeps) = &self.sweeps {
            page.gauge(
                "sweep_duration_seconds",
                "How long the last sweep over the tables took",
                sweeps.last.as_secs_f64(),
            )?;
            page.counter(
                "sweep_failures",
                "Sweeps that did not succeed",
                sweeps.failed,
            )?;
        }
        page.gauge(
            "scrape_duration_seconds",
            "How long it took to read these values",
            self.took.as_secs_f64(),
        )
    }

    fn verdict(&self, verdict: Verdict) -> (u64, u64) {
        self.verdicts
            .get(verdict.name())
            .copied()
            .unwrap_or_default()
    }

    fn event(&self, event: Event) -> u64 {
        self.events.get(event.name()).copied().unwrap_or_default()
    }
}
