//! `snat-ctl flows watch`: what begins, changes and ends.

use std::{
    collections::HashMap,
    thread,
    time::{Instant, SystemTime},
};

use anyhow::Context as _;
use serde::Serialize;

use super::rows;
use crate::{
    cli::flows::FlowsWatchArgs,
    commands::words,
    datapath::{Flow, FlowId, Pins, Scan},
    output,
};

pub(super) fn execute(pins: &Pins, args: &FlowsWatchArgs) -> anyhow::Result<()> {
    let scan = Scan::open(pins, &args.filter).context("cannot watch the flows")?;
    let mut watch = Watch {
        args,
        scan,
        known: HashMap::new(),
        looked: None,
    };
    watch.look()?;
    let known = rows::count(watch.known.len() as u64);
    eprintln!("{known} now; new ones, changes and ends follow");
    let mut looks = 0;
    while args.count.is_none_or(|count| looks < count.get()) {
        thread::sleep(args.interval);
        let changes = watch.look()?;
        output::print(&watch.text(&changes)?)?;
        looks += 1;
    }
    Ok(())
}

struct Watch<'a> {
    args: &'a FlowsWatchArgs,
    scan: Scan,
    known: HashMap<FlowId, Flow>,
    /// When the last look began.
    looked: Option<Instant>,
}

/// A line, as text or JSON.
#[derive(Serialize)]
struct Change {
    time: String,
    event: Event,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_before: Option<&'static str>,
    #[serde(flatten)]
    flow: Flow,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Event {
    New,
    State,
    Traffic,
    /// It has ended, or is not what the filter says any more.
    Gone,
}

impl Watch<'_> {
    /// Looks at every flow, and says what is different from the last time.
    fn look(&mut self) -> anyhow::Result<Vec<Change>> {
        let looked = self.looked.replace(Instant::now());
        let elapsed = looked.map(|looked| looked.elapsed().as_secs_f64());
        let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let mut before = std::mem::take(&mut self.known);
        let mut changes = Vec::new();
        let mut note = |event, state_before, flow: &Flow| {
            if self.args.filter.matches(flow) {
                changes.push(Change {
                    time: time.clone(),
                    event,
                    state_before,
                    flow: flow.clone(),
                });
            }
        };
        self.scan
            .for_each(|found| {
                let mut flow = found.clone();
                // One that has fewer than before has begun anew.
                let old = before
                    .remove(&flow.id)
                    .filter(|old| old.bytes() <= flow.bytes());
                let since = flow.bytes() - old.as_ref().map_or(0, Flow::bytes);
                flow.bits_per_second = elapsed.map(|time| (since as f64 * 8.0 / time).round());
                match &old {
                    None => note(Event::New, None, &flow),
                    Some(old) if old.state != flow.state => {
                        note(Event::State, Some(old.state), &flow);
                    }
                    Some(_) if self.args.traffic && since > 0 => note(Event::Traffic, None, &flow),
                    Some(_) => {}
                }
                self.known.insert(flow.id, flow);
            })
            .context("cannot watch the flows")?;
        for flow in before.values() {
            note(Event::Gone, None, flow);
        }
        Ok(changes)
    }

    fn text(&self, changes: &[Change]) -> anyhow::Result<String> {
        let mut text = String::new();
        for change in changes {
            text += &if self.args.json {
                serde_json::to_string(change)?
            } else {
                change.line()
            };
            text.push('\n');
        }
        Ok(text)
    }
}

impl Change {
    fn line(&self) -> String {
        let Self { time, flow, .. } = self;
        let (event, what) = match self.event {
            Event::New => ("new", flow.state.to_owned()),
            Event::State => {
                let before = self.state_before.unwrap_or_default();
                ("state", format!("{before} -> {}", flow.state))
            }
            Event::Traffic => {
                let bits = flow.bits_per_second.unwrap_or_default();
                ("traffic", format!("{} {}", flow.state, words::rate(bits)))
            }
            Event::Gone => {
                let (age, bytes) = (words::time(flow.age_seconds), flow.bytes());
                ("gone", format!("{} after {age}, {bytes} bytes", flow.state))
            }
        };
        format!("{time} {event:7} {} {what}", rows::line(flow))
    }
}
