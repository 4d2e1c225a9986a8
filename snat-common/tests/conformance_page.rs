//! `docs/conformance.md` against its list of requirements and the sources: every row once, every test there.

use std::{collections::BTreeMap, fs, path::Path};

const PAGE: &str = include_str!("../../docs/conformance.md");
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// All rows, in the order of the list.
const ROWS: &str = "
U-1a U-1b U-1c U-2 U-3 U-3a U-4 U-5 U-6 U-6b U-7 U-8 U-9 U-10 U-11 U-12 U-13 U-14 U-15 U-16 U-17 U-18
T-1 T-2 T-2a T-3 T-4 T-5 T-5b T-5c T-6 T-7 T-7b T-8 T-9 T-10 T-SM T-11 T-12 T-13 T-14 T-15 T-16 T-17
I-1 I-2 I-3 I-4 I-5 I-6 I-7 I-8 I-9 I-10 I-11 I-12 I-13
F-1 F-2 F-3 F-4 F-5 F-6 F-7 F-8 F-9 F-10 F-11
C-1 C-2 C-3 C-4 C-5 C-6 C-7 C-8 C-9 C-10 C-11 C-12 C-13 C-14 C-15 C-16 C-17 C-18 C-19 C-20
X-1 X-2 X-3 X-4 X-5
V-1 V-2 V-3 V-4 V-5
P-1 P-2 P-3 P-4 P-5 P-6 P-7 P-8 P-9 P-10 P-11 P-12 P-13 P-14
";

/// In the order of the summary's columns.
const STATUSES: [&str; 4] = ["met", "partly", "not met", "not applicable"];

#[test]
fn every_requirement_has_one_row_and_every_test_named_exists() {
    let problems = problems(PAGE, &|file, name| is_there(Path::new(ROOT), file, name));
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn a_page_that_lies_is_found_out() {
    let known = |file: &str, name: &str| (file, name) == ("ports.rs", "ports_are_kept");
    let wrong = |row: &str| problems(row, &known).join("\n");
    let all = wrong("| U-1a | R1 | M | text | met | `ports.rs::gone` |");
    for part in ["U-1a: no test ports.rs::gone", "U-1b: 0 rows"] {
        assert!(all.contains(part), "{all}");
    }
    for (row, part) in [
        (
            "| U-2 | R2 | S | text | met | trust us |",
            "U-2: met, and no test",
        ),
        ("| U-2 | R2 | S | text | not met | |", "U-2: no reason"),
        (
            "| U-2 | R2 | S | text | nearly | text |",
            "U-2: what is \"nearly\"",
        ),
        (
            "| U-99 | R2 | S | text | not met | text |",
            "U-99: no row of the list",
        ),
        ("| U-2 | R2 | S | text | not met |", "U-2: 5 columns"),
        ("| **M** | 1 | 0 | 0 | 0 |", "the summary says"),
    ] {
        let all = wrong(row);
        assert!(all.contains(part), "{row}: {all}");
    }
    let named = "| U-2 | R2 | S | text | met | `ports.rs::ports_are_*` |";
    let prefix = problems(named, &|_, name| name == "ports_are_*");
    assert!(!prefix.join("\n").contains("U-2: no test"));
}

#[test]
fn tests_are_known_from_functions_and_from_lists_of_macros() {
    let source = "
        #[test]
        fn plain() {}
        #[test]
        #[ignore = \"later\"]
        fn put_off() {}
        fn helper() {}
        everywhere! {
            listed_xdp: check, \"xdp\";
            pair_xdp,
            pair_tc: check;
        }
        let field = Struct {
            member,
        };
        fn in_a_macro($name: u8) {}";
    let found = tests_of(source);
    assert_eq!(found, ["plain", "listed_xdp", "pair_xdp", "pair_tc"]);
}

fn problems(page: &str, exists: &dyn Fn(&str, &str) -> bool) -> Vec<String> {
    let mut problems = Vec::new();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut tally: BTreeMap<&str, [usize; STATUSES.len()]> = BTreeMap::new();
    for line in page.lines().filter(|line| is_row(line)) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let id = cells[0];
        *seen.entry(id).or_default() += 1;
        let [_, _, level, _, status, shown] = cells[..] else {
            problems.push(format!("{id}: {} columns", cells.len()));
            continue;
        };
        let Some(at) = STATUSES.iter().position(|known| *known == status) else {
            problems.push(format!("{id}: what is {status:?}"));
            continue;
        };
        tally.entry(level).or_default()[at] += 1;
        let tests = tests_named(shown);
        if status == "met" && tests.is_empty() {
            problems.push(format!("{id}: met, and no test"));
        }
        if shown.is_empty() {
            problems.push(format!("{id}: no reason"));
        }
        for (file, name) in tests {
            if !exists(file, name) {
                problems.push(format!("{id}: no test {file}::{name}"));
            }
        }
    }
    for id in ROWS.split_whitespace() {
        let rows = seen.remove(id).unwrap_or(0);
        if rows != 1 {
            problems.push(format!("{id}: {rows} rows"));
        }
    }
    problems.extend(seen.keys().map(|id| format!("{id}: no row of the list")));
    let stated: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("| **"))
        .collect();
    let counted: Vec<_> = tally
        .iter()
        .map(|(level, counts)| {
            let counts = counts.map(|count| count.to_string()).join(" | ");
            format!("| **{level}** | {counts} |")
        })
        .collect();
    if stated != counted {
        problems.push(format!(
            "the summary says\n{}\nand is\n{}",
            stated.join("\n"),
            counted.join("\n")
        ));
    }
    problems
}

/// Whether a line is of a requirement: its first cell is an id.
fn is_row(line: &str) -> bool {
    let id = line
        .strip_prefix("| ")
        .and_then(|rest| rest.split(' ').next());
    let Some((section, number)) = id.and_then(|id| id.split_once('-')) else {
        return false;
    };
    section.len() == 1 && !number.is_empty() && "UTIFCXVP".contains(section)
}

/// What stands in `code` as `file.rs::test`.
fn tests_named(text: &str) -> Vec<(&str, &str)> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|code| {
            code.split_once(".rs::")
                .map(|(file, name)| (&code[..file.len() + 3], name))
        })
        .collect()
}

/// Whether a file, below `tests/tests` or named from the root, has a test of that name; with `*` at its end, one
/// that begins so.
fn is_there(root: &Path, file: &str, name: &str) -> bool {
    let near = root.join("tests/tests").join(file);
    let path = if near.exists() { near } else { root.join(file) };
    let Ok(source) = fs::read_to_string(path) else {
        return false;
    };
    tests_of(&source)
        .iter()
        .any(|test| match name.strip_suffix('*') {
            Some(start) => test.starts_with(start),
            None => *test == name,
        })
}

/// Functions that are tests and are not ignored, and the names in lists that a macro makes tests of:
/// `name: …;`, or several names with commas between them.
fn tests_of(source: &str) -> Vec<&str> {
    let mut tests = Vec::new();
    let mut listed = Vec::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        if line.ends_with("#[test]") {
            is_test = true;
        } else if line.starts_with("#[ignore") {
            is_test = false;
        } else if let Some(rest) = line.strip_prefix("fn ") {
            let name = rest.split(['(', '<']).next().unwrap_or_default();
            if is_test && is_name(name) {
                tests.push(name);
            }
            is_test = false;
        }
        let (names, ends) = match line.split_once(": ") {
            Some((names, rest)) => (names, rest.ends_with(';')),
            None => (line.strip_suffix(',').unwrap_or("?"), false),
        };
        if names.split(", ").all(is_name) {
            listed.extend(names.split(", "));
        } else {
            listed.clear();
        }
        if ends {
            tests.append(&mut listed);
        }
    }
    tests
}

fn is_name(text: &str) -> bool {
    let of_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    !text.is_empty() && text.bytes().all(of_name)
}
