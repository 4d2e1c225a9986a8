//! The words of a command, one after another, and what they stand for.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;

use crate::eni::Family;

/// What is left of a command.
pub(super) struct Words<'a> {
    rest: std::slice::Iter<'a, String>,
}

impl<'a> Words<'a> {
    pub(super) fn new(words: &'a [String]) -> Self {
        Self { rest: words.iter() }
    }

    pub(super) fn next(&mut self) -> Option<&'a str> {
        self.rest.next().map(String::as_str)
    }

    /// The next word without taking it.
    pub(super) fn peek(&self) -> Option<&'a str> {
        self.rest.as_slice().first().map(String::as_str)
    }

    /// What follows a keyword.
    pub(super) fn value(&mut self, key: &str) -> Result<&'a str, String> {
        self.next()
            .ok_or_else(|| format!("nothing follows \"{key}\""))
    }

    /// The same, as a number, also in hexadecimal.
    pub(super) fn number(&mut self, key: &str) -> Result<u32, String> {
        let word = self.value(key)?;
        number(word).ok_or_else(|| format!("\"{key}\" takes a number, not {word:?}"))
    }

    /// The same, as an address.
    pub(super) fn address(&mut self, key: &str) -> Result<IpAddr, String> {
        let word = self.value(key)?;
        word.parse()
            .map_err(|_| format!("\"{key}\" takes an address, not {word:?}"))
    }

    /// The same, as a table's number or name.
    pub(super) fn table(&mut self, key: &str, names: &Names) -> Result<u32, String> {
        let word = self.value(key)?;
        names
            .table(word)
            .ok_or_else(|| format!("no table is called {word:?} here"))
    }
}

/// Names of tables.
pub(super) struct Names(BTreeMap<String, u32>);

impl Names {
    pub(super) fn new(tables: &BTreeMap<u32, String>) -> Self {
        let fixed = [("local", 255), ("main", 254), ("default", 253)];
        let fixed = fixed.map(|(name, number)| (name.to_owned(), number));
        let known = tables.iter().map(|(number, name)| (name.clone(), *number));
        Self(known.chain(fixed).collect())
    }

    pub(super) fn learn(&mut self, number: u32, name: &str) {
        self.0.insert(name.to_owned(), number);
    }

    fn table(&self, word: &str) -> Option<u32> {
        number(word).or_else(|| self.0.get(word).copied())
    }
}

/// Decimal, or hexadecimal with `0x`.
pub(super) fn number(word: &str) -> Option<u32> {
    match word.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

/// A prefix as `ip` takes it: `default`, an address, or with its length. `None` for what is none.
pub(super) fn prefix(word: &str, family: Option<Family>) -> Option<IpNet> {
    match word {
        "default" | "all" | "any" => Some(family.unwrap_or(Family::Inet).everything()),
        "0/0" => Some(Family::Inet.everything()),
        _ => {
            let net: IpNet = word
                .parse()
                .or_else(|_| word.parse::<IpAddr>().map(IpNet::from))
                .ok()?;
            Some(net.trunc())
        }
    }
}
