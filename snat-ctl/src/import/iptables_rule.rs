//! The options of an iptables rule.

use super::{
    matches::{Field, Matches},
    model::{Action, Case, Target},
};
use crate::config::MssClamp;

/// Reads the words behind `-A CHAIN`. What is not known is one of `others`, or the action's name: it is never left out.
pub(super) fn case(words: &[String], nat: bool) -> Case {
    let mut rule = Options {
        words: words.iter().map(String::as_str).collect(),
        next: 0,
        nat,
        matches: Matches::everything(),
        jump: None,
        to: Vec::new(),
        to_ports: None,
        mss: None,
    };
    while rule.next < rule.words.len() {
        rule.option();
    }
    let action = rule.action();
    Case {
        matches: rule.matches,
        action,
        logs: false,
    }
}

struct Options<'a> {
    words: Vec<&'a str>,
    next: usize,
    nat: bool,
    matches: Matches,
    jump: Option<(bool, &'a str)>,
    to: Vec<&'a str>,
    to_ports: Option<&'a str>,
    mss: Option<MssClamp>,
}

impl<'a> Options<'a> {
    fn option(&mut self) {
        let start = self.next;
        let mut not = self.take() == Some("!");
        let option = if not {
            self.take()
        } else {
            self.words.get(start).copied()
        };
        // The old form: `-s ! 10.0.0.0/8`.
        if self.words.get(self.next) == Some(&"!") {
            not = !not;
            self.next += 1;
        }
        let known = match option.unwrap_or_default() {
            "-s" | "--source" | "--src" => self.field(Field::Source, not),
            "-d" | "--destination" | "--dst" => self.field(Field::Destination, not),
            "--src-range" => self.field(Field::Source, not),
            "--dst-range" => self.field(Field::Destination, not),
            "-p" | "--protocol" | "--proto" => self.field(Field::Protocol, not),
            "-i" | "--in-interface" => self.field(Field::Input, not),
            "-o" | "--out-interface" => self.field(Field::Output, not),
            "--sport" | "--sports" | "--source-port" | "--source-ports" => {
                self.field(Field::SourcePort, not)
            }
            "--dport" | "--dports" | "--destination-port" | "--destination-ports" => {
                self.field(Field::DestinationPort, not)
            }
            "-m" | "--match" | "--comment" => self.take().map(drop),
            "--random" | "--random-fully" | "--persistent" => Some(()),
            "--dst-type" => self.local(not),
            "--ctstate" | "--state" => self.state(not),
            "-j" | "--jump" => self.take().map(|name| self.jump = Some((false, name))),
            "-g" | "--goto" => self.take().map(|name| self.jump = Some((true, name))),
            "--to-source" | "--to-destination" => self.take().map(|to| self.to.push(to)),
            "--to-ports" => self.take().map(|ports| self.to_ports = Some(ports)),
            "--clamp-mss-to-pmtu" => {
                self.mss = Some(MssClamp::Auto);
                Some(())
            }
            "--set-mss" => self.set_mss(),
            "--tcp-flags" if self.clamps() => self.take().and_then(|_| self.take()).map(drop),
            "--syn" | "--mss" if self.clamps() => {
                self.values();
                Some(())
            }
            _ => None,
        };
        if known.is_none() {
            self.next = self.next.max(start + 1);
            self.values();
            self.matches
                .others
                .push(self.words[start..self.next].join(" "));
        }
    }

    fn take(&mut self) -> Option<&'a str> {
        let word = self.words.get(self.next).copied()?;
        self.next += 1;
        Some(word)
    }

    /// Words up to the next option.
    fn values(&mut self) {
        let rest = self.words.get(self.next..).unwrap_or_default();
        let option = |word: &&str| word.starts_with('-') || *word == "!";
        self.next += rest.iter().position(option).unwrap_or(rest.len());
    }

    fn field(&mut self, field: Field, not: bool) -> Option<()> {
        let values: Vec<_> = self.take()?.split(',').collect();
        if field == Field::Protocol && values == ["0"] {
            return Some(());
        }
        self.matches.restrict(field, not, &values)
    }

    fn local(&mut self, not: bool) -> Option<()> {
        let local = self.take()? == "LOCAL" && !not;
        self.matches.local |= local;
        local.then_some(())
    }

    /// A table of NAT sees the first packet of a connection only.
    fn state(&mut self, not: bool) -> Option<()> {
        let new = self.take()?.split(',').any(|state| state == "NEW");
        (new && !not && self.nat).then_some(())
    }

    fn set_mss(&mut self) -> Option<()> {
        self.mss = Some(MssClamp::To(self.take()?.parse().ok()?));
        Some(())
    }

    fn clamps(&self) -> bool {
        self.words.contains(&"TCPMSS")
    }

    fn action(&self) -> Action {
        let Some((goto, name)) = self.jump else {
            return Action::Nothing;
        };
        let to = || {
            self.to
                .iter()
                .map(|to| (*to).to_owned())
                .collect::<Vec<_>>()
        };
        let action = match name {
            _ if goto => Some(Action::Goto(name.to_owned())),
            "ACCEPT" => Some(Action::Accept),
            "RETURN" => Some(Action::Return),
            "MASQUERADE" => Some(Action::Source {
                to: None,
                ports: self.to_ports.map(str::to_owned),
            }),
            "SNAT" => snat(&to()),
            "DNAT" => self
                .to
                .first()
                .filter(|_| self.to.len() == 1)
                .and_then(|to| {
                    let (addr, port) = endpoint(to);
                    (!addr.is_empty()).then_some(Action::Destination(Target { addr, port }))
                }),
            "TCPMSS" => self.mss.map(Action::Mss),
            // Targets are in capitals, and so may be chains: `walk` knows which chains there are.
            _ => Some(Action::Jump(name.to_owned())),
        };
        action.unwrap_or_else(|| Action::Other(name.to_owned()))
    }
}

/// `--to-source 203.0.113.1-203.0.113.4:1024-65535`, perhaps several times.
fn snat(to: &[String]) -> Option<Action> {
    let ends: Vec<_> = to.iter().map(|to| endpoint(to)).collect();
    let ports = ends.first()?.1.clone();
    let alike = ends
        .iter()
        .all(|(addr, of)| !addr.is_empty() && *of == ports);
    let to = Some(ends.into_iter().map(|(addr, _)| addr).collect());
    alike.then_some(Action::Source { to, ports })
}

/// `address:port`, either of which may be a range, the port left out.
fn endpoint(text: &str) -> (String, Option<String>) {
    // An IPv6 address is left whole, and is refused as what it is.
    match text.split_once(':') {
        Some((addr, port)) if !port.contains(':') => (addr.to_owned(), Some(port.to_owned())),
        _ => (text.to_owned(), None),
    }
}
