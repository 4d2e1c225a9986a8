//! Section `[limits]`.

use super::{Gateway, Limits, report::Report, section::Section, values};

/// As much as a token bucket of the datapath holds.
const FASTEST: u32 = 10_000_000;
/// With less, one page of a browser is more than a client may have.
const FEW_FLOWS: u32 = 64;

pub(super) fn limits(
    root: &Section<'_>,
    gateway: Option<&Gateway>,
    report: &mut Report<'_>,
) -> Limits {
    let mut limits = Limits::default();
    let Limits {
        flows_per_source,
        new_flows_per_source,
        fragments_per_source,
        answers_per_second,
    } = &mut limits;
    let settings = [
        ("flows_per_source", flows_per_source, u32::MAX),
        ("new_flows_per_source", new_flows_per_source, FASTEST),
        ("fragments_per_source", fragments_per_source, FASTEST),
        ("answers_per_second", answers_per_second, FASTEST),
    ];
    let known = settings.each_ref().map(|(name, ..)| *name);
    let Some(section) = root
        .get("limits", report)
        .and_then(|field| field.section(&known, "section [limits]", report))
    else {
        return limits;
    };
    for (name, setting, most) in settings {
        let number = section.optional(name, |value| values::number(value, 0..=most), report);
        *setting = number.unwrap_or(*setting);
    }
    let max_flows = gateway.map_or(u32::MAX, |gateway| gateway.max_flows);
    warn(&section, &limits, max_flows, report);
    limits
}

/// What is accepted and will not do what was meant.
fn warn(section: &Section<'_>, limits: &Limits, max_flows: u32, report: &mut Report<'_>) {
    for (name, limit) in [
        ("flows_per_source", limits.flows_per_source),
        ("new_flows_per_source", limits.new_flows_per_source),
    ] {
        let Some(field) = section.get(name, report) else {
            continue;
        };
        if (1..FEW_FLOWS).contains(&limit) {
            let what = format!(
                "{limit} is less than the {FEW_FLOWS} flows that a browser opens for a page: pages \
                 may stay incomplete"
            );
            report.warn(field.line, &field.key, what);
        }
        if name == "flows_per_source" && limit > max_flows {
            let what = format!(
                "{limit} is never reached: gateway.max_flows is {max_flows} for all clients together"
            );
            report.warn(field.line, &field.key, what);
        }
    }
}
