//! Where in the configuration file something stands, as the file is now.

use std::{fs, net::SocketAddrV4, path::PathBuf};

use ipnet::Ipv4Net;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The file that an instance was started with, read anew: it may have changed since, or be gone.
pub(super) struct File {
    path: Option<PathBuf>,
    text: Option<String>,
}

impl File {
    /// The file at `path`, if that is known.
    pub(super) fn read(path: Option<PathBuf>) -> Self {
        let text = path.as_ref().and_then(|path| fs::read_to_string(path).ok());
        Self { path, text }
    }

    /// Where a client prefix is listed.
    pub(super) fn source(&self, prefix: Ipv4Net) -> String {
        self.place("[[snat]]", |root| listed(root, "snat", "source", prefix))
    }

    /// Where a bypass prefix is listed.
    pub(super) fn bypass(&self, prefix: Ipv4Net) -> String {
        self.place("[[bypass]]", |root| {
            listed(root, "bypass", "destination", prefix)
        })
    }

    /// Where a forward's external endpoint is.
    pub(super) fn forward(&self, external: SocketAddrV4) -> String {
        self.place("[[forward]]", |root| {
            let sections = sections(root, "forward");
            let values = sections.filter_map(|section| section.get("external"));
            values
                .filter(|value| text_of(value).is_some_and(|text| text.parse() == Ok(external)))
                .map(|value| value.span().start)
                .next()
        })
    }

    /// Where the interfaces are listed.
    pub(super) fn interfaces(&self) -> String {
        self.place("gateway.interfaces", |root| {
            let gateway = root.get("gateway")?.get_ref().as_table()?;
            Some(gateway.get("interfaces")?.span().start)
        })
    }

    /// `what` and its place, or why it has none.
    fn place(&self, what: &str, find: impl Fn(&DeTable<'_>) -> Option<usize>) -> String {
        let Some(path) = &self.path else {
            return format!("{what}; which file it was in is not on record");
        };
        let path = path.display();
        let Some(text) = &self.text else {
            return format!("{what}; {path} cannot be read any more");
        };
        let (root, _) = DeTable::parse_recoverable(text);
        match find(root.get_ref()) {
            Some(at) => format!("{what}, {path} line {}", line(text, at)),
            None => format!("{what}; {path} has changed since and no longer says so"),
        }
    }
}

/// Where `prefix` is in the list `key` of one of the sections `[[name]]`.
fn listed(root: &DeTable<'_>, name: &str, key: &str, prefix: Ipv4Net) -> Option<usize> {
    sections(root, name)
        .filter_map(|section| section.get(key)?.get_ref().as_array())
        .flatten()
        .find(|item| text_of(item).is_some_and(|text| text.parse() == Ok(prefix)))
        .map(|item| item.span().start)
}

fn sections<'a>(
    root: &'a DeTable<'a>,
    name: &str,
) -> impl Iterator<Item = &'a DeTable<'a>> + use<'a> {
    let array = root.get(name).and_then(|value| value.get_ref().as_array());
    array
        .into_iter()
        .flatten()
        .filter_map(|section| section.get_ref().as_table())
}

fn text_of<'a>(value: &'a Spanned<DeValue<'_>>) -> Option<&'a str> {
    value.get_ref().as_str()
}

/// Line of a byte offset, from 1.
fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::File;

    const TEXT: &str = r#"[gateway]
interfaces = ["eth0"]

[[snat]]
source = [
  "172.16.0.0/16",
  "10.0.0.0/8",
]

[[snat]]
source = ["192.168.0.0/24"]

[[bypass]]
destination = ["172.16.0.0/12"]

[[forward]]
protocol = "tcp"
external = "203.0.113.10:8443"
internal = "172.16.1.5:443"
"#;

    fn file(text: Option<&str>) -> File {
        File {
            path: Some("/etc/snat/snat.toml".into()),
            text: text.map(str::to_owned),
        }
    }

    #[test]
    fn each_thing_has_the_line_that_it_stands_in() {
        let file = file(Some(TEXT));
        for (place, line) in [
            (file.interfaces(), 2),
            (file.source("10.0.0.0/8".parse().expect("a prefix")), 7),
            (file.source("192.168.0.0/24".parse().expect("a prefix")), 11),
            (file.bypass("172.16.0.0/12".parse().expect("a prefix")), 14),
            (file.forward("203.0.113.10:8443".parse().expect("one")), 18),
        ] {
            let end = format!(", /etc/snat/snat.toml line {line}");
            assert!(place.ends_with(&end), "{place}");
        }
    }

    #[test]
    fn a_file_that_has_changed_or_is_gone_is_said_to_be() {
        let prefix = "10.1.0.0/16".parse().expect("a prefix");
        assert!(file(Some(TEXT)).source(prefix).contains("has changed"));
        assert!(file(Some("[[snat")).source(prefix).contains("has changed"));
        assert!(file(None).source(prefix).contains("cannot be read"));
    }
}
