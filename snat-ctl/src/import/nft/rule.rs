//! A rule in `nft`'s words.

use super::{
    Statement,
    elements::Elements,
    tokens::{Token, joined},
    verdict,
};
use crate::{config::MssClamp, import::model::Action};

/// Reads a rule; `named` finds sets by name.
pub(super) fn statements<'a>(
    tokens: &'a [Token],
    named: &'a dyn Fn(&str) -> Option<&'a Elements>,
) -> Vec<Statement> {
    let mut words = Words {
        rest: tokens,
        named,
    };
    let mut all = Vec::new();
    while !words.rest.is_empty() {
        let before = words.rest;
        let read = words.statement();
        all.push(read.unwrap_or_else(|| {
            // It got stuck somewhere in there, and looks for where it knows its way again.
            if words.rest.len() == before.len() {
                words.next();
            }
            words.skip_to_keyword();
            Statement::Other(joined(&before[..before.len() - words.rest.len()]))
        }));
    }
    all
}

/// What is left of a rule.
pub(super) struct Words<'a> {
    pub(super) rest: &'a [Token],
    named: &'a dyn Fn(&str) -> Option<&'a Elements>,
}

/// What a statement may begin with.
const KEYWORDS: [&str; 40] = [
    "ip",
    "ip6",
    "tcp",
    "udp",
    "sctp",
    "udplite",
    "th",
    "icmp",
    "icmpv6",
    "ether",
    "meta",
    "ct",
    "iif",
    "iifname",
    "oif",
    "oifname",
    "mark",
    "fib",
    "rt",
    "socket",
    "counter",
    "comment",
    "log",
    "limit",
    "accept",
    "return",
    "continue",
    "drop",
    "jump",
    "goto",
    "queue",
    "reject",
    "masquerade",
    "snat",
    "dnat",
    "redirect",
    "tproxy",
    "xt",
    "notrack",
    "flow",
];

impl<'a> Words<'a> {
    pub(super) fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(&first.text)
    }

    pub(super) fn peek(&self) -> Option<&'a str> {
        self.rest.first().map(|token| token.text.as_str())
    }

    pub(super) fn skip(&mut self, word: &str) -> bool {
        let there = self.rest.first().is_some_and(|token| token.is(word));
        if there {
            self.next();
        }
        there
    }

    fn skip_to_keyword(&mut self) {
        let known = |token: &Token| KEYWORDS.iter().any(|word| token.is(word));
        let len = self.rest.iter().position(known).unwrap_or(self.rest.len());
        self.rest = &self.rest[len..];
    }

    fn statement(&mut self) -> Option<Statement> {
        let word = self.peek()?;
        match word {
            "counter" | "comment" | "log" => {
                self.idle();
                Some(if word == "log" {
                    Statement::Log
                } else {
                    Statement::Idle
                })
            }
            "masquerade" | "snat" | "dnat" => Some(self.nat(word)),
            "redirect" | "tproxy" | "reject" | "queue" | "xt" | "drop" => {
                let rest = std::mem::take(&mut self.rest);
                Some(Statement::Verdict(Action::Other(joined(rest))))
            }
            "accept" | "return" | "continue" => {
                self.next();
                verdict(word, "").map(Statement::Verdict)
            }
            "jump" | "goto" => {
                self.next();
                verdict(word, self.next()?).map(Statement::Verdict)
            }
            _ => self.selector(),
        }
    }

    /// Something that changes nothing about the packet, with its options.
    fn idle(&mut self) {
        match self.next() {
            Some("comment") => drop(self.next()),
            Some("counter") if self.skip("name") => drop(self.next()),
            _ => {
                let options = [
                    "packets", "bytes", "prefix", "level", "group", "snaplen", "flags",
                ];
                while options.iter().any(|option| self.skip(option)) {
                    self.next();
                }
            }
        }
    }

    fn selector(&mut self) -> Option<Statement> {
        let mut fields = vec![self.field()?];
        while self.skip(".") {
            fields.push(self.field()?);
        }
        if fields == ["tcp flags"] {
            return self.flags();
        }
        if fields == ["tcp option"] {
            return self.maxseg();
        }
        if self.skip("vmap") {
            return self.verdicts(fields);
        }
        let not = self.skip("!=");
        self.skip("==");
        if self.peek() == Some("set") {
            return None;
        }
        let values = self.values()?;
        Some(Statement::Match {
            fields,
            not,
            values,
        })
    }

    pub(super) fn field(&mut self) -> Option<String> {
        let word = self.next()?;
        match word {
            "ip" | "ip6" | "tcp" | "udp" | "sctp" | "udplite" | "th" | "icmp" | "icmpv6"
            | "ether" | "ct" => Some(format!("{word} {}", self.next()?)),
            "meta" => Some(format!("meta {}", self.next()?)),
            "iif" | "iifname" | "oif" | "oifname" | "mark" | "l4proto" | "nfproto" => {
                Some(format!("meta {word}"))
            }
            "fib" => {
                let ends =
                    |token: &Token| token.is("type") || token.is("oif") || token.is("oifname");
                let len = self.rest.iter().position(ends)? + 1;
                let (words, rest) = self.rest.split_at(len);
                self.rest = rest;
                Some(format!("fib {}", joined(words)))
            }
            _ => None,
        }
    }

    /// One value, several with commas, those of a set, or those of a named one.
    fn values(&mut self) -> Option<Vec<Vec<String>>> {
        if let Some(elements) = self.set() {
            return Some(elements.keys());
        }
        let len = self.value_len();
        let (words, rest) = self.rest.split_at(len);
        self.rest = rest;
        Some(Elements::read(words).keys()).filter(|keys| !keys.is_empty())
    }

    /// A word, and as many more as commas and dots join to it.
    fn value_len(&self) -> usize {
        let mut len = 0;
        while len < self.rest.len() {
            len += 1;
            let joins = |token: &Token| token.is(",") || token.is(".");
            match self.rest.get(len) {
                Some(next) if joins(next) => len += 1,
                _ => break,
            }
        }
        len
    }

    pub(super) fn set(&mut self) -> Option<Elements> {
        if self.skip("{") {
            let len = self.rest.iter().position(|token| token.is("}"))?;
            let (inner, rest) = self.rest.split_at(len);
            self.rest = &rest[1..];
            return Some(Elements::read(inner));
        }
        let name = self.peek()?.strip_prefix('@')?;
        let found = (self.named)(name)?.clone();
        self.next();
        Some(found)
    }

    /// The SYN that a clamp of the MSS is for, and that begins every connection that NAT sees.
    fn flags(&mut self) -> Option<Statement> {
        let before = self.rest;
        self.skip_to_keyword();
        let said = joined(&before[..before.len() - self.rest.len()]);
        let syn = [
            "syn",
            "syn / syn,rst",
            "syn / syn, rst",
            "& (syn|rst) == syn",
            "& (syn | rst) == syn",
        ];
        let idle = syn.contains(&said.as_str());
        Some(if idle {
            Statement::Idle
        } else {
            Statement::Other(format!("tcp flags {said}"))
        })
    }

    fn maxseg(&mut self) -> Option<Statement> {
        if !(self.skip("maxseg") && self.skip("size") && self.skip("set")) {
            return None;
        }
        if self.skip("rt") {
            return self.skip("mtu").then_some(Statement::Mss(MssClamp::Auto));
        }
        let mss = self.next()?.parse().ok()?;
        Some(Statement::Mss(MssClamp::To(mss)))
    }

    fn verdicts(&mut self, fields: Vec<String>) -> Option<Statement> {
        let pairs = self.set()?.pairs()?.into_iter();
        let pairs = pairs.map(|(key, to)| {
            let chain = to.get(1).map_or("", String::as_str);
            Some((key, verdict(to.first()?, chain)?))
        });
        let elements = pairs.collect::<Option<_>>()?;
        Some(Statement::Verdicts { fields, elements })
    }
}
