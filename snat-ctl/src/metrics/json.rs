//! The metrics as JSON, for who reads everything of ours so.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Number;

/// A metric, and all its samples.
#[derive(Debug, PartialEq, Serialize)]
pub struct Family {
    name: String,
    /// `counter`, `gauge` or `histogram`.
    #[serde(rename = "type")]
    kind: String,
    help: String,
    samples: Vec<One>,
}

/// A sample; of a histogram its name ends in `_bucket`, `_sum` or `_count`.
#[derive(Debug, PartialEq, Serialize)]
struct One {
    name: String,
    labels: BTreeMap<String, String>,
    value: Number,
}

/// What [`super::Format::Prometheus`] has written. Each family begins with its help.
#[must_use]
pub fn families(page: &str) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for line in page.lines() {
        if let Some((name, help)) = comment(line, "# HELP ") {
            families.push(Family {
                name: name.to_owned(),
                kind: String::new(),
                help: help.to_owned(),
                samples: Vec::new(),
            });
        } else if let Some(family) = families.last_mut() {
            match comment(line, "# TYPE ") {
                Some((_, kind)) => kind.clone_into(&mut family.kind),
                None => family.samples.extend(sample(line)),
            }
        }
    }
    families
}

fn comment<'a>(line: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    line.strip_prefix(mark)?.split_once(' ')
}

fn sample(line: &str) -> Option<One> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    // No label of ours has a quote in its value.
    let pairs = labels.trim_end_matches('}').split_terminator("\",");
    let label = |pair: &str| {
        let (key, value) = pair.split_once("=\"")?;
        Some((key.to_owned(), value.trim_end_matches('"').to_owned()))
    };
    Some(One {
        name: name.to_owned(),
        labels: pairs.filter_map(label).collect(),
        value: value.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::families;

    #[test]
    fn every_sample_is_there_with_its_labels_and_its_exact_value() {
        let page = "# HELP snat_x_total What x is\n# TYPE snat_x_total counter\n\
                    snat_x_total{a=\"1\",b=\"two, three\"} 18446744073709551615\nsnat_x_total 2\n\
                    # HELP snat_y Y\n# TYPE snat_y gauge\nsnat_y 0.5\n";
        let wanted = json!([
            { "name": "snat_x_total", "type": "counter", "help": "What x is", "samples": [
                { "name": "snat_x_total", "labels": { "a": "1", "b": "two, three" }, "value": u64::MAX },
                { "name": "snat_x_total", "labels": {}, "value": 2 },
            ] },
            { "name": "snat_y", "type": "gauge", "help": "Y", "samples": [
                { "name": "snat_y", "labels": {}, "value": 0.5 },
            ] },
        ]);
        assert_eq!(json!(families(page)), wanted);
    }
}
