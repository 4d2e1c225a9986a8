//! A walk over the parsed file that goes on after an error and knows where it is.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::report::Report;

/// Least likeness (Jaro-Winkler, 0 to 1) for a known key to be proposed in place of an unknown one.
const LIKENESS: f64 = 0.75;

/// A table of the file with only known keys in it.
pub(super) struct Section<'a> {
    table: &'a DeTable<'a>,
    pub(super) key: String,
    pub(super) line: usize,
}

/// A value of the file and where it stands.
pub(super) struct Field<'a> {
    value: &'a DeValue<'a>,
    pub(super) key: String,
    pub(super) line: usize,
}

/// A list's element, checked, and its line.
pub(super) struct Item<T> {
    pub(super) value: T,
    pub(super) key: String,
    pub(super) line: usize,
}

impl<'a> Section<'a> {
    /// The whole file. Every unknown key in it is reported.
    pub(super) fn root(table: &'a DeTable<'a>, known: &[&str], report: &mut Report<'_>) -> Self {
        Self::new(table, String::new(), 1, known, report)
    }

    fn new(
        table: &'a DeTable<'a>,
        key: String,
        line: usize,
        known: &[&str],
        report: &mut Report<'_>,
    ) -> Self {
        let section = Self { table, key, line };
        for (name, _) in table {
            let line = report.line(name.span().start);
            let name: &str = name.get_ref();
            if !known.contains(&name) {
                let nearest = nearest(name, known);
                let what = format!("unknown key{nearest}; accepted: {}", known.join(", "));
                report.wrong(line, &section.key_of(name), what);
            }
        }
        section
    }

    pub(super) fn key_of(&self, name: &str) -> String {
        if self.key.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.key)
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    /// Line of a key's value; of the section if the key is left out.
    pub(super) fn line_of(&self, name: &str, report: &Report<'_>) -> usize {
        self.get(name, report).map_or(self.line, |field| field.line)
    }

    /// Reports a key whose value cannot stay, though it may be right by itself.
    pub(super) fn refuse(&self, name: &str, what: impl Into<String>, report: &mut Report<'_>) {
        report.wrong(self.line_of(name, report), &self.key_of(name), what);
    }

    /// As [`Self::refuse`], of what is accepted and may surprise.
    pub(super) fn warn(&self, name: &str, what: impl Into<String>, report: &mut Report<'_>) {
        report.warn(self.line_of(name, report), &self.key_of(name), what);
    }

    pub(super) fn get(&self, name: &str, report: &Report<'_>) -> Option<Field<'a>> {
        let value = self.table.get(name)?;
        Some(Field::new(value, self.key_of(name), report))
    }

    /// As [`Self::get`], and its absence is a problem.
    pub(super) fn require(
        &self,
        name: &str,
        accepted: &str,
        report: &mut Report<'_>,
    ) -> Option<Field<'a>> {
        let field = self.get(name, report);
        if field.is_none() {
            report.wrong(
                self.line,
                &self.key_of(name),
                format!("missing; accepted: {accepted}"),
            );
        }
        field
    }

    /// The value of a key that may be left out; a wrong one is reported and counts as left out.
    pub(super) fn optional<T>(
        &self,
        name: &str,
        check: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
        report: &mut Report<'_>,
    ) -> Option<T> {
        self.get(name, report)?.parse(check, report)
    }

    /// The tables of `[[name]]`; none if it is left out.
    pub(super) fn tables(
        &self,
        name: &str,
        known: &[&str],
        report: &mut Report<'_>,
    ) -> Vec<Section<'a>> {
        let Some(field) = self.get(name, report) else {
            return Vec::new();
        };
        let accepted = format!("[[{name}]] sections");
        let Some(items) = field.value.as_array() else {
            report.wrong(field.line, &field.key, not_a(field.value, &accepted));
            return Vec::new();
        };
        let elements = items.iter().enumerate();
        elements
            .filter_map(|(index, value)| {
                let key = format!("{}[{}]", field.key, index + 1);
                Field::new(value, key, report).section(known, &accepted, report)
            })
            .collect()
    }
}

impl<'a> Field<'a> {
    fn new(value: &'a Spanned<DeValue<'a>>, key: String, report: &Report<'_>) -> Self {
        Self {
            line: report.line(value.span().start),
            value: value.get_ref(),
            key,
        }
    }

    /// The checked value; if it is wrong, that is reported.
    pub(super) fn parse<T>(
        &self,
        check: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
        report: &mut Report<'_>,
    ) -> Option<T> {
        check(self.value)
            .map_err(|what| report.wrong(self.line, &self.key, what))
            .ok()
    }

    /// The checked elements of a list that must not be empty; wrong ones are reported and left out.
    pub(super) fn list<T>(
        &self,
        accepted: &str,
        check: impl Fn(&DeValue<'_>) -> Result<T, String>,
        report: &mut Report<'_>,
    ) -> Vec<Item<T>> {
        if self.value.as_array().is_some_and(|items| items.is_empty()) {
            report.wrong(
                self.line,
                &self.key,
                format!("empty list; accepted: {accepted}"),
            );
        }
        self.elements(accepted, check, report)
    }

    /// As [`Self::list`], of a list that may be empty.
    pub(super) fn elements<T>(
        &self,
        accepted: &str,
        check: impl Fn(&DeValue<'_>) -> Result<T, String>,
        report: &mut Report<'_>,
    ) -> Vec<Item<T>> {
        let Some(items) = self.value.as_array() else {
            let what = not_a(self.value, &format!("a list of {accepted}"));
            report.wrong(self.line, &self.key, what);
            return Vec::new();
        };
        let elements = items.iter().enumerate();
        elements
            .filter_map(|(index, value)| {
                let key = format!("{}[{}]", self.key, index + 1);
                let field = Field::new(value, key, report);
                let value = field.parse(&check, report)?;
                Some(Item {
                    value,
                    key: field.key,
                    line: field.line,
                })
            })
            .collect()
    }

    pub(super) fn section(
        self,
        known: &[&str],
        accepted: &str,
        report: &mut Report<'_>,
    ) -> Option<Section<'a>> {
        match self.value {
            DeValue::Table(table) => Some(Section::new(table, self.key, self.line, known, report)),
            other => {
                report.wrong(self.line, &self.key, not_a(other, accepted));
                None
            }
        }
    }
}

/// Says of which type a value is instead of what is accepted.
pub(super) fn not_a(value: &DeValue<'_>, accepted: &str) -> String {
    let found = match value {
        DeValue::String(text) => format!("{text:?} is a string"),
        DeValue::Integer(number) => format!("{number} is an integer"),
        DeValue::Float(number) => format!("{number} is a float"),
        DeValue::Boolean(truth) => format!("{truth} is a boolean"),
        DeValue::Datetime(time) => format!("{time} is a date"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    };
    format!("{found}; accepted: {accepted}")
}

fn nearest(name: &str, known: &[&str]) -> String {
    let likeness = |candidate: &str| strsim::jaro_winkler(name, candidate);
    known
        .iter()
        .filter(|candidate| likeness(candidate) >= LIKENESS)
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
        .map_or_else(String::new, |nearest| format!(" (nearest: {nearest})"))
}
