//! What a new configuration changes, line by line.
//!
//! Both are laid out flat first, by the names of the file's keys: so a key that is added to the file has to be added there, and
//! nothing else.

mod layout;

use std::fmt;

use serde::{Deserialize, Serialize};

use self::layout::{Layout, Value, layout};
use super::File;

/// One line of the difference; its JSON form is part of the contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What happens to it.
    pub verb: Verb,
    /// A key of the file, or a table of it by its name.
    pub key: String,
    /// What is there no more: the old value, or elements of a list.
    pub removed: Vec<String>,
    /// What is there now: the new value, or elements of a list.
    pub added: Vec<String>,
    /// Whether it is a list, of which the rest stays.
    pub is_list: bool,
}

/// What happens to a key or table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// It was not there.
    Add,
    /// It is there no more.
    Remove,
    /// It is another.
    Change,
}

/// What `new` changes of `old`; nothing if both do the same.
#[must_use]
pub fn difference(old: &File, new: &File) -> Vec<Change> {
    let (old, new) = (layout(old), layout(new));
    let keys: Vec<_> = new
        .keys()
        .chain(old.keys().filter(|key| !new.contains_key(*key)))
        .collect();
    keys.into_iter()
        .filter_map(|key| change(key, &old, &new))
        .collect()
}

fn change(key: &str, old: &Layout, new: &Layout) -> Option<Change> {
    // Of a table that comes or goes as a whole, that is enough.
    if let Some((table, _)) = key.rsplit_once(LAST)
        && old.contains_key(table) != new.contains_key(table)
    {
        return None;
    }
    let shown = key.replace(LAST, " ");
    let of = |verb, removed: &[String], added: &[String], is_list| {
        Some(Change {
            verb,
            key: shown.clone(),
            removed: removed.to_vec(),
            added: added.to_vec(),
            is_list,
        })
    };
    match (old.get(key), new.get(key)) {
        (Some(a), Some(b)) if a == b => None,
        (Some(Value::List(a)), Some(Value::List(b))) => {
            let removed: Vec<_> = a.iter().filter(|one| !b.contains(one)).cloned().collect();
            let added: Vec<_> = b.iter().filter(|one| !a.contains(one)).cloned().collect();
            let verb = match (removed.is_empty(), added.is_empty()) {
                (true, true) => return None,
                (true, false) if !key.contains(LAST) => Verb::Add,
                (false, true) if !key.contains(LAST) => Verb::Remove,
                _ => Verb::Change,
            };
            of(verb, &removed, &added, true)
        }
        (Some(a), Some(b)) => of(Verb::Change, a.texts(), b.texts(), false),
        (None, Some(b)) => of(Verb::Add, &[], b.texts(), false),
        (Some(a), None) => of(Verb::Remove, a.texts(), &[], false),
        (None, None) => None,
    }
}

/// Stands between a table's name and its keys.
const LAST: char = '\u{1f}';

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.verb {
            Verb::Add => '+',
            Verb::Remove => '-',
            Verb::Change => '~',
        };
        write!(f, "{sign} {}", self.key)?;
        let (removed, added) = (self.removed.join(" "), self.added.join(" "));
        match self.verb {
            Verb::Change if self.is_list => {
                f.write_str(":")?;
                for (sign, texts) in [('-', &self.removed), ('+', &self.added)] {
                    for text in texts {
                        write!(f, " {sign} {text}")?;
                    }
                }
                Ok(())
            }
            Verb::Change => write!(f, ": {removed} -> {added}"),
            _ if removed.is_empty() && added.is_empty() => Ok(()),
            _ => write!(f, ": {removed}{added}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{File, difference};

    const OLD: &str = "[gateway]\ninterfaces = ['eth0']\n\
        [[snat]]\nname = 'private'\nsource = ['10.0.0.0/8']\n\
        external = ['203.0.113.10', '203.0.113.11']\nports = '1024-65535'\n\
        [[bypass]]\ndestination = ['10.0.0.0/8']\n\
        [timeouts]\nudp = '5m'\n";

    fn lines(old: &str, new: &str) -> Vec<String> {
        let file = |text| File::parse(text, Path::new("t.toml")).unwrap();
        let changes = difference(&file(old), &file(new));
        changes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_does_the_same_is_no_difference() {
        let other = OLD.replace("[timeouts]\nudp = '5m'\n", "# all as it was\n");
        assert_eq!(lines(OLD, &other), [""; 0]);
        assert_eq!(lines(OLD, &OLD.replace("'5m'", "'300s'")), [""; 0]);
    }

    #[test]
    fn each_change_is_a_line() {
        for (from, to, line) in [
            ("'5m'", "'2m'", "~ timeouts.udp: 5m -> 2m"),
            (
                "'203.0.113.10', '203.0.113.11'",
                "'203.0.113.10', '203.0.113.12'",
                "~ snat \"private\" external: - 203.0.113.11 + 203.0.113.12",
            ),
            ("['eth0']", "['eth0', 'eth2']", "+ interfaces: eth2"),
            (
                "[timeouts]",
                "[[snat]]\nname = 'web'\nsource = ['11.0.0.0/8']\n[timeouts]",
                "+ snat \"web\"",
            ),
            (
                "[timeouts]",
                "[[forward]]\nprotocol = 'tcp'\nexternal = '203.0.113.10:443'\ninternal = '10.0.0.1:80'\n[timeouts]",
                "+ forward tcp 203.0.113.10:443: 10.0.0.1:80",
            ),
            (
                "[[bypass]]\ndestination = ['10.0.0.0/8']",
                "",
                "- bypass: 10.0.0.0/8",
            ),
            (
                "[timeouts]",
                "[metrics]\nlisten = '127.0.0.1:9'\n[timeouts]",
                "+ metrics.listen: 127.0.0.1:9",
            ),
            (
                "'1024-65535'",
                "'auto'",
                "~ snat \"private\" ports: 1024-65535 -> auto",
            ),
        ] {
            let new = OLD.replacen(from, to, 1);
            assert_eq!(lines(OLD, &new), [line]);
        }
    }

    #[test]
    fn policy_routes_are_part_of_it() {
        let eni = format!("{OLD}[[eni]]\nmatch = {{ name = 'eth1' }}\ntable = 1001\n");
        assert_eq!(lines(OLD, &eni), ["+ eni eth1"]);
        let other = eni.replace("1001", "1002");
        assert_eq!(lines(&eni, &other), ["~ eni eth1 table: 1001 -> 1002"]);
    }
}
