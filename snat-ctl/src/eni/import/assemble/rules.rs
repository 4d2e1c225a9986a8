//! Rules: those that an ENI's entry stands for, bypasses, and access rules.

use super::{super::Said, Work};
use crate::{
    config::{AccessRule, RuleVerdict},
    eni::{Action, MAIN, Rule},
};

impl Work<'_> {
    /// In the order in which the kernel asks them.
    pub(super) fn rules(&mut self, mut rules: Vec<Said<Rule>>) {
        rules.retain(|rule| !is_kernels(&rule.what));
        rules.sort_by_key(|rule| rule.what.priority);
        let mut seen: Vec<Rule> = Vec::new();
        // The first priority of a rule of an ENI's, behind which others must not have been.
        let mut first_source = None;
        for said in rules {
            let shape = Rule {
                priority: 0,
                protocol: 0,
                ..said.what.clone()
            };
            if seen.contains(&shape) {
                continue;
            }
            seen.push(shape);
            if self.is_enis_own(&said.what) {
                first_source.get_or_insert(said.what.priority);
            } else if !self.became_mark(&said.what) {
                self.other(&said, first_source);
            }
        }
    }

    fn eni_of(&self, rule: &Rule) -> Option<&str> {
        match rule.action {
            Action::Lookup(table) => self.tables.get(&table).map(String::as_str),
            _ => None,
        }
    }

    /// `from ADDRESS lookup TABLE` with an address of the table's interface; of an interface that is not here, with
    /// any single address.
    fn is_enis_own(&self, rule: &Rule) -> bool {
        let alone = Rule {
            source: rule.source,
            ..plain(rule)
        };
        let (Some(source), Some(dev)) = (rule.source, self.eni_of(rule)) else {
            return false;
        };
        *rule == alone
            && source.prefix_len() == source.max_prefix_len()
            && self.interface(dev).is_none_or(|interface| {
                let mut addresses = interface.addresses.iter().map(ipnet::IpNet::addr);
                addresses.any(|addr| addr == source.addr())
            })
    }

    /// `fwmark MARK lookup TABLE`, for the first mark of an ENI.
    fn became_mark(&mut self, rule: &Rule) -> bool {
        let alone = Rule {
            mark: rule.mark,
            ..plain(rule)
        };
        let Some(dev) = self.eni_of(rule).map(str::to_owned) else {
            return false;
        };
        let eni = self.eni(&dev);
        if *rule != alone
            || rule.mark.is_none()
            || eni.mark.is_some_and(|mark| Some(mark) != rule.mark)
        {
            return false;
        }
        eni.mark = rule.mark;
        true
    }

    fn other(&mut self, said: &Said<Rule>, first_source: Option<u32>) {
        let rule = &said.what;
        if let (Action::Lookup(MAIN), Some(net)) = (rule.action, rule.destination)
            && *rule
                == (Rule {
                    destination: Some(net),
                    ..plain(rule)
                })
        {
            self.imported.bypass.push(net);
        } else {
            match self.access(rule) {
                Ok(access) => self.imported.rules.push(access),
                Err(why) => return self.imported.notes.push(said.note(why)),
            }
        }
        if first_source.is_some_and(|first| first < rule.priority) {
            self.imported.notes.push(said.note(
                "taken over, but it stood behind rules for an ENI's addresses and is now asked before them",
            ));
        }
    }

    fn access(&self, rule: &Rule) -> Result<AccessRule, &'static str> {
        if rule.inverted || rule.oif.is_some() || !rule.unknown.is_empty() {
            return Err("\"not\", \"oif\" and the like have no key in [[rule]]");
        }
        if rule.suppress_prefix_length.is_some() {
            return Err(
                "suppress_prefixlength has no key in [[rule]]; what is connected is reached without it",
            );
        }
        let ports = rule.source_ports.is_some() || rule.destination_ports.is_some();
        if ports && !matches!(rule.ip_protocol, Some(6 | 17 | 33 | 132 | 136)) {
            return Err("ports need a protocol that has ports");
        }
        // A rule without a prefix would be one of both families.
        let everything = rule.destination.is_none().then(|| rule.family.everything());
        Ok(AccessRule {
            source: rule.source.or(everything).into_iter().collect(),
            destination: rule.destination.into_iter().collect(),
            interface: rule.iif.clone(),
            protocol: rule.ip_protocol,
            source_ports: rule.source_ports,
            destination_ports: rule.destination_ports,
            mark: rule.mark,
            verdict: self.verdict(rule)?,
            line: 0,
        })
    }

    fn verdict(&self, rule: &Rule) -> Result<RuleVerdict, &'static str> {
        match rule.action {
            Action::Lookup(0 | 253 | 255) => {
                Err("[[rule]] does not look in the kernel's own tables")
            }
            Action::Lookup(table) => Ok(match self.eni_of(rule) {
                Some(dev) => RuleVerdict::Eni(dev.to_owned()),
                None => RuleVerdict::Table(table),
            }),
            Action::Unreachable => Ok(RuleVerdict::Unreachable),
            Action::Prohibit => Ok(RuleVerdict::Prohibit),
            Action::Blackhole => Ok(RuleVerdict::Blackhole),
            Action::Other(_) => Err("[[rule]] has no such action"),
        }
    }
}

fn plain(rule: &Rule) -> Rule {
    Rule::new(rule.family, rule.priority, rule.protocol, rule.action)
}

/// Those that every host has: `local`, `main` and `default`.
fn is_kernels(rule: &Rule) -> bool {
    let fixed = [(0, 255), (32_766, MAIN), (32_767, 253)];
    *rule == plain(rule)
        && fixed.iter().any(|(priority, table)| {
            rule.priority == *priority && rule.action == Action::Lookup(*table)
        })
}
