//! The two forms that Prometheus reads: OpenMetrics, and its own older text.
//!
//! The encoder writes OpenMetrics 1.0. Text format 0.0.4 differs where a counter is announced: there it has the name of
//! its samples, and there is no mark at the end.

use prometheus_client::{encoding::text, registry::Registry};

use super::Sample;

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Prometheus' text format, version 0.0.4.
    Prometheus,
    /// OpenMetrics text, version 1.0.0.
    Openmetrics,
}

impl Format {
    /// What HTTP calls it.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::Openmetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// What an `Accept` header likes better (RFC 9110 §12.5.1). Prometheus' own text to who does not say.
    #[must_use]
    pub fn accepted(header: &str) -> Self {
        let liking = |which: fn(&str) -> bool| {
            let ranges = header.split(',').filter(|range| which(name(range)));
            ranges.map(weight).fold(0.0, f32::max)
        };
        let openmetrics = liking(|name| name == "application/openmetrics-text");
        let plain = liking(|name| ["text/plain", "text/*", "*/*"].contains(&name));
        if openmetrics > 0.0 && openmetrics >= plain {
            Self::Openmetrics
        } else {
            Self::Prometheus
        }
    }

    /// Writes a sample.
    #[must_use]
    pub fn write(self, sample: Sample) -> String {
        let mut registry = Registry::with_prefix("snat");
        registry.register_collector(Box::new(sample));
        let mut page = String::new();
        text::encode(&mut page, &registry).expect("writing to a string cannot fail");
        match self {
            Self::Openmetrics => page,
            Self::Prometheus => older(&page),
        }
    }
}

fn name(range: &str) -> &str {
    range.split(';').next().unwrap_or_default().trim()
}

fn weight(range: &str) -> f32 {
    let q = range
        .split(';')
        .find_map(|part| part.trim().strip_prefix("q="));
    q.map_or(1.0, |q| q.parse().unwrap_or(0.0))
}

/// OpenMetrics as text format 0.0.4. The encoder writes `# HELP` and `# TYPE` of a family one after the other.
fn older(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "# EOF" {
            break;
        }
        let kind = if line.starts_with("# HELP ") {
            lines.peek()
        } else {
            Some(&line)
        };
        let counts =
            kind.is_some_and(|kind| kind.starts_with("# TYPE ") && kind.ends_with(" counter"));
        let mut words = line.splitn(4, ' ');
        match (
            counts,
            words.next(),
            words.next(),
            words.next(),
            words.next(),
        ) {
            (true, Some(mark), Some(what), Some(name), Some(rest)) => {
                text += &format!("{mark} {what} {name}_total {rest}");
            }
            _ => text += line,
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Format, older};

    #[test]
    fn a_counter_is_announced_by_the_name_of_its_samples_and_nothing_else_changes() {
        let page = "# HELP snat_packets Packets, # TYPE of all.\n# TYPE snat_packets counter\n\
                    snat_packets_total{direction=\"in\"} 3\n# HELP snat_flows Flows of a counter\n\
                    # TYPE snat_flows gauge\nsnat_flows{protocol=\"tcp\"} 1\n# EOF\n";
        let text = "# HELP snat_packets_total Packets, # TYPE of all.\n\
                    # TYPE snat_packets_total counter\nsnat_packets_total{direction=\"in\"} 3\n\
                    # HELP snat_flows Flows of a counter\n# TYPE snat_flows gauge\n\
                    snat_flows{protocol=\"tcp\"} 1\n";
        assert_eq!(older(page), text);
    }

    #[test]
    fn openmetrics_is_for_who_asks_for_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0,\
                          application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (header, format) in [
            (prometheus, Format::Openmetrics),
            ("application/openmetrics-text", Format::Openmetrics),
            (
                "text/plain, application/openmetrics-text; q=0.5",
                Format::Prometheus,
            ),
            ("application/openmetrics-text;q=0", Format::Prometheus),
            ("application/openmetrics-text;q=x", Format::Prometheus),
            ("*/*", Format::Prometheus),
            ("application/json", Format::Prometheus),
            ("", Format::Prometheus),
        ] {
            assert_eq!(Format::accepted(header), format, "{header}");
        }
    }
}
