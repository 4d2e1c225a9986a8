//! iptables rules of the legacy kind, which `nft` does not list.

use std::collections::BTreeSet;

use super::{super::Finding, owners::of_chain, ruleset::Translation, unread};
use crate::tool::{legacy_tables, run};

/// The legacy table, if the kernel has it here.
pub(super) fn translations(findings: &mut Vec<Finding>) -> Vec<Translation> {
    if !legacy_tables("ip_tables_names").contains(&"nat".to_owned()) {
        return Vec::new();
    }
    match run("iptables-legacy-save", &["-t", "nat"]) {
        Ok(text) => understand(&text).into_iter().collect(),
        Err(reason) => {
            findings.push(unread(&format!(
                "there is a legacy table nat, and {reason}"
            )));
            Vec::new()
        }
    }
}

fn understand(text: &str) -> Option<Translation> {
    let (mut owners, mut kinds, mut rules) = (BTreeSet::new(), BTreeSet::new(), 0);
    for line in text.lines() {
        if let Some(chain) = line.strip_prefix(':') {
            owners.extend(of_chain(chain));
        }
        let target = line
            .split_whitespace()
            .skip_while(|word| *word != "-j")
            .nth(1);
        let kind = match target {
            Some("MASQUERADE") => "masquerade",
            Some("SNAT" | "NETMAP") => "snat",
            Some("DNAT") => "dnat",
            Some("REDIRECT") => "redirect",
            _ => continue,
        };
        kinds.insert(kind);
        rules += 1;
    }
    (rules > 0).then(|| Translation {
        table: "nat (iptables-legacy)".to_owned(),
        owners,
        kinds,
        rules,
    })
}

#[cfg(test)]
mod tests {
    use super::understand;

    #[test]
    fn targets_count_and_an_empty_table_is_none() {
        let empty = "*nat\n:PREROUTING ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\nCOMMIT\n";
        assert_eq!(understand(empty), None);
        let rules = "*nat\n:KUBE-SERVICES - [0:0]\n\
                     -A POSTROUTING -s 10.0.0.0/8 -j MASQUERADE\n\
                     -A KUBE-SERVICES -p tcp -j DNAT --to-destination 10.1.1.1:80\n\
                     -A POSTROUTING -j KUBE-SERVICES\nCOMMIT\n";
        let found = understand(rules).unwrap();
        assert_eq!(found.rules, 2);
        assert!(found.kinds.iter().eq(["dnat", "masquerade"].iter()));
        assert!(found.owners.iter().eq(["Kubernetes"].iter()));
    }
}
