//! The tables: for people, and as Markdown for documents.

use comfy_table::{CellAlignment, Table, presets};

use crate::{
    contender::{ALL, Contender},
    report::{Report, targets::Bound},
    results::{Quantity, Results},
};

/// For whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// A terminal.
    Plain,
    /// A document.
    Markdown,
}

/// What is called the limit: whichever was measured.
const LIMITS: [Contender; 2] = [Contender::Redirect, Contender::Transmit];

const LEGEND: [&str; 3] = [
    "median, min, max: over the rounds, in the unit of the heading",
    "of limit: the median over that of the bare redirect in the same place, in one-arm of XDP_TX",
    "of nft masquerade: the median over that of the kernel's NAT in the same place",
];

/// Everything.
pub(crate) fn text(report: &Report<'_>, style: Style) -> String {
    let mut text = section("Machine", &list(&report.machine.lines()), style);
    text += &section("Columns", &list(&LEGEND.map(str::to_owned)), style);
    for &quantity in report.results.quantities() {
        let title = format!("{} ({})", quantity.name, quantity.unit);
        let table = quantity_table(report.results, quantity);
        text += &section(&title, &rows(table, style, words(quantity)), style);
    }
    text += &section("Targets", &rows(targets(report), style, 1), style);
    if !report.notes.is_empty() {
        text += &section("Notes", &list(&report.notes), style);
    }
    text
}

fn section(title: &str, body: &str, style: Style) -> String {
    match style {
        Style::Plain => format!("{title}\n\n{body}\n\n"),
        Style::Markdown => format!("### {title}\n\n{body}\n\n"),
    }
}

fn list(lines: &[String]) -> String {
    let lines = lines.iter().map(|line| format!("- {line}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// How many columns are words.
fn words(quantity: Quantity) -> usize {
    if quantity.over.is_empty() { 1 } else { 2 }
}

fn quantity_table(results: &Results, quantity: Quantity) -> Table {
    let mut table = Table::new();
    let mut titles = vec![
        "who",
        "median",
        "min",
        "max",
        "of limit",
        "of nft masquerade",
    ];
    if !quantity.over.is_empty() {
        titles.insert(0, quantity.over);
    }
    table.set_header(titles);
    let mut places: Vec<_> = results.of(quantity).collect();
    places.sort_by_key(|(place, _)| (place.at, rank(&place.who)));
    for (place, summary) in places {
        let of = |contender: Contender| {
            let other = results.median(quantity, place.at, contender.name())?;
            Some(format!("{:.2}", summary.median / other))
        };
        let mut row = vec![
            place.who.clone(),
            number(summary.median),
            number(summary.min),
            number(summary.max),
            LIMITS.into_iter().find_map(of).unwrap_or_default(),
            of(Contender::Masquerade).unwrap_or_default(),
        ];
        if !quantity.over.is_empty() {
            row.insert(0, number(place.at as f64));
        }
        table.add_row(row);
    }
    table
}

fn targets(report: &Report<'_>) -> Table {
    let mut table = Table::new();
    table.set_header(["what", "target", "measured", ""]);
    for verdict in &report.verdicts {
        let target = match verdict.target {
            Some(Bound::AtLeast(least)) => format!("at least {least}"),
            Some(Bound::AtMost(most)) => format!("at most {most}"),
            None => String::new(),
        };
        let measured = verdict.measured.map(|value| format!("{value:.2}"));
        let met = match verdict.met {
            Some(true) => "met",
            Some(false) => "NOT MET",
            None if measured.is_none() => "not measured",
            None => "",
        };
        let measured = measured.unwrap_or_default();
        table.add_row([verdict.what, &target, &measured, met]);
    }
    table
}

fn rows(mut table: Table, style: Style, words: usize) -> String {
    let (preset, padding) = match style {
        Style::Plain => (presets::NOTHING, (0, 2)),
        Style::Markdown => (presets::ASCII_MARKDOWN, (1, 1)),
    };
    table.load_preset(preset);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding(padding);
        if index >= words {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

/// Contenders first, as they are listed.
fn rank(who: &str) -> usize {
    let place = ALL.iter().position(|contender| contender.name() == who);
    place.unwrap_or(ALL.len())
}

/// Three digits or more, large numbers in thousands and millions.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{} M", short(value / 1e6)),
        size if size >= 1e4 => format!("{} k", short(value / 1e3)),
        _ => short(value),
    }
}

fn short(value: f64) -> String {
    match value.abs() {
        _ if value == value.trunc() => format!("{value}"),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Style, number, quantity_table, rows};
    use crate::{measure::established::SMALL, results::Results};

    fn results() -> Results {
        let mut results = Results::default();
        results.add(SMALL, 1000, "snat-ctl xdp", 6e6);
        results.add(SMALL, 1000, "nft masquerade", 1.5e6);
        results.add(SMALL, 1000, "bare XDP redirect", 8e6);
        results
    }

    #[test]
    fn a_row_has_its_ratios_to_the_limit_and_to_the_kernel() {
        let text = rows(quantity_table(&results(), SMALL), Style::Plain, 2);
        let last = text.lines().last().unwrap();
        let cells: Vec<_> = last.split_whitespace().collect();
        assert_eq!(cells[0..3], ["1000", "snat-ctl", "xdp"]);
        assert_eq!(cells[cells.len() - 2..], ["0.75", "4.00"]);
    }

    #[test]
    fn markdown_has_a_line_under_its_header() {
        let text = rows(quantity_table(&results(), SMALL), Style::Markdown, 2);
        let line = text.lines().nth(1).unwrap();
        assert!(line.starts_with("|-") && line.ends_with("-|"), "{line}");
    }

    #[test]
    fn numbers_are_short() {
        let texts = [1.0, 0.123, 12.34, 1234.5, 50_000.0, 6_861_694.0].map(number);
        assert_eq!(texts, ["1", "0.12", "12.3", "1234", "50 k", "6.86 M"]);
    }
}
