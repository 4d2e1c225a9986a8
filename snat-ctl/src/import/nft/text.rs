//! `nft list ruleset`: tables, and what is in them.

use std::collections::BTreeMap;

use super::{
    base, cases,
    elements::Elements,
    rule::statements,
    tokens::{Token, as_written, tokens},
};
use crate::import::model::{Base, Chain, Rule, Ruleset, Said};

/// Reads it. What is not understood is in `unread`, or a rule of its own.
pub(in crate::import) fn read(text: &str) -> Ruleset {
    let tokens = tokens(text);
    let mut reader = Reader {
        text,
        rest: &tokens,
        sets: BTreeMap::new(),
        ruleset: Ruleset::default(),
        rules: Vec::new(),
    };
    while !reader.rest.is_empty() {
        reader.top();
    }
    reader.finish()
}

/// Whether the text looks like it.
pub(in crate::import) fn is_it(text: &str) -> bool {
    text.lines()
        .any(|line| line.trim_start().starts_with("table "))
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a [Token],
    /// By table and name.
    sets: BTreeMap<(String, String), Elements>,
    ruleset: Ruleset,
    /// With the chain that each is in: sets may come behind the rules that name them.
    rules: Vec<(usize, &'a [Token])>,
}

impl<'a> Reader<'a> {
    fn top(&mut self) {
        if self.skip("\n") || self.skip(";") {
            return;
        }
        let line = self.statement();
        let words: Vec<_> = line.iter().map(|token| token.text.as_str()).collect();
        match words[..] {
            ["table", family, name] if self.skip("{") => self.table(family, name),
            // Without a family it is IPv4.
            ["table", name] if self.skip("{") => self.table("ip", name),
            _ => self.unread(line),
        }
    }

    fn table(&mut self, family: &str, name: &str) {
        let table = format!("{family} {name}");
        while !self.rest.is_empty() && !self.skip("}") {
            let line = self.statement();
            let words: Vec<_> = line.iter().map(|token| token.text.as_str()).collect();
            match words[..] {
                ["chain", name] if self.skip("{") => self.chain(&table, name, family == "ip6"),
                ["set" | "map", name] if self.skip("{") => {
                    let elements = Elements::of_set(self.block());
                    self.sets.insert((table.clone(), name.to_owned()), elements);
                }
                // Counters, flow tables and the like hold no rules.
                _ if self.skip("{") => drop(self.block()),
                ["comment" | "flags", ..] | [] => self.next(),
                _ => self.unread(line),
            }
        }
    }

    fn chain(&mut self, table: &str, name: &str, ipv6: bool) {
        let index = self.ruleset.chains.len();
        let mut head = None;
        while !self.rest.is_empty() && !self.skip("}") {
            let line = self.rule();
            match line.first() {
                None => self.next(),
                Some(first) if first.is("type") => head = Some(line),
                Some(first) if first.is("policy") => {
                    if let (Some(head), [_, policy]) = (head, line) {
                        self.push_chain(index, table, name, ipv6, base_of(head, &policy.text));
                    }
                }
                // Of the chain; a rule's stands at its end.
                Some(first) if first.is("comment") => {}
                Some(_) => self.rules.push((index, line)),
            }
        }
        let base = head.and_then(|head| base_of(head, "accept"));
        self.push_chain(index, table, name, ipv6, base);
    }

    fn push_chain(
        &mut self,
        index: usize,
        table: &str,
        name: &str,
        ipv6: bool,
        base: Option<Base>,
    ) {
        if self.ruleset.chains.len() == index {
            self.ruleset.chains.push(Chain {
                table: table.to_owned(),
                name: name.to_owned(),
                ipv6,
                base,
                rules: Vec::new(),
            });
        }
    }

    /// Up to a brace or the end of the line.
    fn statement(&mut self) -> &'a [Token] {
        let ends = |token: &Token| ["{", "}", ";", "\n"].iter().any(|sign| token.is(sign));
        let len = self.rest.iter().position(ends).unwrap_or(self.rest.len());
        let (statement, rest) = self.rest.split_at(len);
        self.rest = rest;
        statement
    }

    /// Up to the end of the line outside of braces, or the brace that closes the chain.
    fn rule(&mut self) -> &'a [Token] {
        let mut depth = 0_usize;
        let ends = |token: &Token| {
            if token.is("{") {
                depth += 1;
            } else if token.is("}") {
                match depth.checked_sub(1) {
                    Some(outer) => depth = outer,
                    None => return true,
                }
            }
            depth == 0 && (token.is("\n") || token.is(";"))
        };
        let len = self.rest.iter().position(ends).unwrap_or(self.rest.len());
        let (rule, rest) = self.rest.split_at(len);
        self.rest = rest;
        rule
    }

    /// What is within braces, the first of which is behind us.
    fn block(&mut self) -> &'a [Token] {
        let mut depth = 1_usize;
        let closes = |token: &Token| {
            if token.is("{") {
                depth += 1;
            } else if token.is("}") {
                depth -= 1;
            }
            depth == 0
        };
        let len = self.rest.iter().position(closes).unwrap_or(self.rest.len());
        let (block, rest) = self.rest.split_at(len);
        self.rest = rest.get(1..).unwrap_or_default();
        block
    }

    fn skip(&mut self, sign: &str) -> bool {
        let there = self.rest.first().is_some_and(|token| token.is(sign));
        if there {
            self.next();
        }
        there
    }

    fn next(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    fn unread(&mut self, line: &[Token]) {
        match line {
            [] => self.next(),
            line => self.ruleset.unread.push(said(self.text, line)),
        }
    }

    fn finish(mut self) -> Ruleset {
        for (chain, tokens) in self.rules {
            let chain = &mut self.ruleset.chains[chain];
            let named = |name: &str| self.sets.get(&(chain.table.clone(), name.to_owned()));
            let cases = cases(statements(tokens, &named));
            chain.rules.push(Rule {
                said: said(self.text, tokens),
                cases,
            });
        }
        self.ruleset
    }
}

fn said(text: &str, tokens: &[Token]) -> Said {
    let line = tokens.first().map(|token| token.line);
    Said {
        line,
        at: line.map(|line| format!("line {line}")).unwrap_or_default(),
        text: as_written(text, tokens),
    }
}

/// `type nat hook postrouting priority srcnat + 10`
fn base_of(head: &[Token], policy: &str) -> Option<Base> {
    let after = |key: &str| {
        let at = head.iter().position(|token| token.is(key))?;
        head.get(at + 1).map(|token| token.text.as_str())
    };
    let mut priority = 0;
    let mut sign = 1;
    let behind = head
        .iter()
        .skip_while(|token| !token.is("priority"))
        .skip(1);
    for token in behind {
        match token.text.as_str() {
            "+" => sign = 1,
            "-" => sign = -1,
            text => priority += sign * by_name(text).or_else(|| text.parse().ok())?,
        }
    }
    Some(base(after("type")?, after("hook")?, priority, policy))
}

fn by_name(priority: &str) -> Option<i64> {
    let known = [
        ("raw", -300),
        ("mangle", -150),
        ("dstnat", -100),
        ("filter", 0),
        ("security", 50),
        ("srcnat", 100),
    ];
    let found = known.iter().find(|(name, _)| *name == priority);
    found.map(|(_, number)| *number)
}
