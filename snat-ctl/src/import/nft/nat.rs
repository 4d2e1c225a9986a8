//! `snat`, `dnat` and `masquerade` in `nft`'s words.

use super::{Nat, Statement, To, rule::Words, tokens::joined};
use crate::import::model::Action;

impl Words<'_> {
    /// What is not understood of it makes it another action, never a lesser one.
    pub(super) fn nat(&mut self, kind: &str) -> Statement {
        let before = self.rest;
        match self.nat_to(kind) {
            Some(nat) => Statement::Nat(nat),
            None => {
                self.rest = &[];
                Statement::Verdict(Action::Other(joined(before)))
            }
        }
    }

    fn nat_to(&mut self, kind: &str) -> Option<Nat> {
        self.next();
        if self.skip("ip") && self.skip("addr") {
            let _ = self.skip(".") && self.skip("port");
        }
        let mut nat = Nat {
            kind: kind.to_owned(),
            ..Nat::default()
        };
        if self.skip("to") {
            match self.peek()? {
                "ip" | "tcp" | "udp" | "th" | "sctp" | "meta" | "iifname" | "oifname" => {
                    nat.to = self.map()?;
                }
                "numgen" | "jhash" | "symhash" => nat.to = self.any()?,
                _ => {
                    let (addr, port) = endpoint(self.next()?);
                    nat.ports = port.map(str::to_owned);
                    if !addr.is_empty() {
                        nat.to = To::Addr(addr.to_owned());
                    }
                }
            }
        }
        if let Some(port) = self.peek().and_then(|word| word.strip_prefix(':')) {
            nat.ports = Some(port.to_owned());
            self.next();
        }
        while ["random", "fully-random", "persistent", ","]
            .iter()
            .any(|flag| self.skip(flag))
        {}
        let ends = self.rest.first().is_none_or(|token| token.is("comment"));
        ends.then_some(nat)
    }

    fn map(&mut self) -> Option<To> {
        let mut fields = vec![self.field()?];
        while self.skip(".") {
            fields.push(self.field()?);
        }
        let elements = self.skip("map").then(|| self.set())??.pairs()?;
        Some(To::Map { fields, elements })
    }

    fn any(&mut self) -> Option<To> {
        let len = self.rest.iter().position(|token| token.is("map"))?;
        self.rest = &self.rest[len + 1..];
        let pairs = self.set()?.pairs()?.into_iter();
        let addrs = pairs.map(|(_, to)| match &to[..] {
            [addr] => Some(addr.clone()),
            _ => None,
        });
        addrs.collect::<Option<_>>().map(To::Any)
    }
}

fn endpoint(word: &str) -> (&str, Option<&str>) {
    match word.split_once(':') {
        Some((addr, port)) if !port.contains(':') => (addr, Some(port)),
        _ => (word, None),
    }
}
