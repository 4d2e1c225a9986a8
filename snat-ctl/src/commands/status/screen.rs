//! `status` for people: 80 columns, and 24 lines where there is not much to say.

use std::fmt::Write as _;

use snat_common::{Event, Verdict};

use super::{
    report::Report,
    words::{last_error, port_use},
};
use crate::{
    commands::words::{amount, share},
    datapath::{Occupancy, Ports},
    eni::conflicts::count,
    health::{PolicyRoutes, Rates, Severity},
    output::{self, wrap},
};

const WIDTH: usize = 80;
/// Of titles.
const MARGIN: usize = 12;
/// Addresses whose ports are shown, the fullest.
const MOST_PORTS: usize = 3;

pub(super) fn screen(report: &Report, all: bool) -> String {
    let mut screen = Screen::default();
    screen.verdict(report);
    screen.body(report);
    if all {
        screen.text += &tables(report);
    }
    screen.text
}

#[derive(Default)]
struct Screen {
    text: String,
}

impl Screen {
    /// A title and what belongs to it, further lines below the first.
    fn line(&mut self, title: &str, body: &str) {
        for (index, line) in wrap(body, WIDTH - MARGIN).iter().enumerate() {
            let title = if index == 0 { title } else { "" };
            // Writing to a string cannot fail.
            let _ = writeln!(self.text, "{title:MARGIN$}{line}");
        }
    }

    fn verdict(&mut self, report: &Report) {
        let grave = |severity| severity > Severity::Notice;
        let problems = report.problems.iter();
        let problems = problems.filter(|problem| grave(problem.severity)).count();
        self.text += &match problems {
            0 => "ok\n".to_owned(),
            number => format!("degraded: {}\n", count(number, "problem")),
        };
        for problem in &report.problems {
            let title = match problem.severity {
                Severity::Notice => "  notice",
                Severity::Degraded => "  problem",
                Severity::Critical => "  critical",
            };
            self.line(title, &problem.what);
            self.line("", &format!("-> {}", problem.remedy));
        }
        self.text.push('\n');
    }

    fn body(&mut self, report: &Report) {
        let daemon = report
            .daemon
            .map_or_else(|| "stopped".to_owned(), |pid| format!("process {pid}"));
        let (name, role) = (&report.name, report.role);
        self.line("instance", &format!("{name}, {role}; daemon: {daemon}"));
        if let Some(build) = &report.build {
            let before = report.previous_build.iter();
            let before: String = before.map(|before| format!("; before: {before}")).collect();
            self.line("build", &format!("{build}{before}"));
        }
        self.line("config", report.config.as_deref().unwrap_or_default());
        for (index, interface) in report.interfaces.iter().enumerate() {
            let why = interface.reason.iter().map(|why| format!("; {why}"));
            let why: String = why.collect();
            let (name, mode) = (&interface.name, &interface.mode);
            self.line(
                titled(index, "interfaces"),
                &format!("{name} ({mode}{why})"),
            );
        }
        self.line("entries", &report.entries.join(", "));
        if let Some(rates) = &report.rates {
            self.rates(rates);
        }
        self.line("flows", &share(report.flows));
        self.occupancy(&report.occupancy);
        let shared = report.events[Event::PortShared.name()];
        if shared > 0 {
            let text = "flows had no port of their own left and share one between destinations";
            self.line("sharing", &format!("{shared} {text}"));
        }
        if let Some(routes) = &report.policy_routes {
            self.line("routes", &policy_routes(routes));
        }
        if let Some(error) = report.last_errors.last() {
            self.line("last error", &last_error(error));
        }
        self.line("pins", &report.pins);
    }

    fn rates(&mut self, rates: &Rates) {
        let (out, into) = (rates.packets_out, rates.packets_in);
        let way = |packets, bits| format!("{}packets/s, {}bit/s", amount(packets), amount(bits));
        let new = amount(rates.new_flows);
        let text = format!("{}; {new}new flows/s", way(out, rates.bits_out));
        self.line("out", &text);
        self.line("in", &way(into, rates.bits_in));
        let drops: Vec<String> = rates
            .dropped()
            .map(|(name, rate)| format!("{name} {}/s", amount(rate).trim_end()))
            .collect();
        let drops = match drops.len() {
            0 => format!("nothing in {:.1} s", rates.seconds),
            _ => drops.join(", "),
        };
        self.line("dropped", &drops);
    }

    fn occupancy(&mut self, occupancy: &Occupancy) {
        let Occupancy {
            mappings,
            mapping_elements: _,
            forwards,
            clients,
            ports,
        } = occupancy;
        self.line("mappings", &share(*mappings));
        self.line("clients", &share(*clients));
        if *forwards > 0 {
            self.line("forwards", &forwards.to_string());
        }
        let mut ports: Vec<&Ports> = ports.iter().collect();
        ports.sort_by_key(|ports| std::cmp::Reverse(ports.used + ports.resting));
        for (index, ports) in ports.iter().take(MOST_PORTS).enumerate() {
            self.line(titled(index, "ports"), &port_use(ports));
        }
        let more = ports.len().saturating_sub(MOST_PORTS);
        if more > 0 {
            self.line("", &format!("and {more} more, less full"));
        }
    }
}

/// Only the first of several lines has the title.
fn titled(index: usize, title: &str) -> &str {
    if index == 0 { title } else { "" }
}

fn policy_routes(routes: &PolicyRoutes) -> String {
    let state = match routes.differences {
        0 => "all as intended".to_owned(),
        steps => format!("{} to do", count(steps, "change")),
    };
    let (rules, routes) = (count(routes.rules, "rule"), count(routes.routes, "route"));
    format!("{rules}, {routes}: {state}")
}

fn tables(report: &Report) -> String {
    let mut verdicts = output::table(&["ACTION", "VERDICT", "MEANING", "PACKETS", "BYTES"], 3);
    for verdict in Verdict::ALL {
        let count = &report.verdicts[verdict.name()];
        if count.packets > 0 {
            verdicts.add_row([
                count.action.to_owned(),
                verdict.name().to_owned(),
                verdict.describe().trim().to_owned(),
                count.packets.to_string(),
                count.bytes.to_string(),
            ]);
        }
    }
    let mut events = output::table(&["EVENT", "MEANING", "TIMES"], 2);
    for event in Event::ALL {
        let times = report.events[event.name()];
        if times > 0 {
            events.add_row([
                event.name().to_owned(),
                event.describe().trim().to_owned(),
                times.to_string(),
            ]);
        }
    }
    format!(
        "\n{}\n\n{}\n",
        output::rows(&verdicts),
        output::rows(&events)
    )
}
