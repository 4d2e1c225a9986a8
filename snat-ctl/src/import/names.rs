//! Which interfaces a rule is for.

use std::collections::BTreeSet;

/// Names, of which one that ends in `*` stands for all that begin like it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Names {
    Only(BTreeSet<String>),
    AllBut(BTreeSet<String>),
}

impl Names {
    pub(super) const fn any() -> Self {
        Self::AllBut(BTreeSet::new())
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Only(names) if names.is_empty())
    }

    /// The names, where some are named and not excepted.
    pub(super) fn listed(&self) -> impl Iterator<Item = &String> {
        let listed = match self {
            Self::Only(names) => Some(names),
            Self::AllBut(_) => None,
        };
        listed.into_iter().flatten()
    }

    pub(super) fn holds(&self, name: &str) -> bool {
        let any = |names: &BTreeSet<String>| names.iter().any(|known| fits(known, name));
        match self {
            Self::Only(names) => any(names),
            Self::AllBut(names) => !any(names),
        }
    }

    pub(super) fn and(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::AllBut(ours), Self::AllBut(theirs)) => {
                Self::AllBut(ours.union(theirs).cloned().collect())
            }
            (Self::Only(names), other) | (other, Self::Only(names)) => {
                let both = names.iter().filter(|name| other.holds(name)).cloned();
                // `eth*` and `eth0` are `eth0`, in either order.
                let narrower = other
                    .listed()
                    .filter(|name| names.iter().any(|known| fits(known, name)));
                Self::Only(both.chain(narrower.cloned()).collect())
            }
        }
    }

    pub(super) fn or(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Only(ours), Self::Only(theirs)) => {
                Self::Only(ours.union(theirs).cloned().collect())
            }
            (Self::AllBut(names), other) | (other, Self::AllBut(names)) => Self::AllBut(
                names
                    .iter()
                    .filter(|name| !other.holds(name))
                    .cloned()
                    .collect(),
            ),
        }
    }

    /// Whether it surely has all that `other` has.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::AllBut(ours), Self::AllBut(_)) => ours.iter().all(|name| !other.holds(name)),
            (_, Self::Only(theirs)) => theirs.iter().all(|name| self.holds(name)),
            (Self::Only(_), Self::AllBut(_)) => false,
        }
    }
}

fn fits(known: &str, name: &str) -> bool {
    match known.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => known == name,
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    fn only(names: &[&str]) -> Names {
        Names::Only(names.iter().copied().map(str::to_owned).collect())
    }

    fn all_but(name: &str) -> Names {
        Names::AllBut([name.to_owned()].into())
    }

    #[test]
    fn names_narrow_each_other_down() {
        assert_eq!(
            only(&["eth0", "eth1"]).and(&all_but("eth1")),
            only(&["eth0"])
        );
        assert_eq!(
            only(&["eth*"]).and(&only(&["eth0", "tun0"])),
            only(&["eth0"])
        );
        assert!(only(&["eth0"]).and(&all_but("eth*")).is_empty());
        assert!(all_but("lo").and(&only(&["lo"])).is_empty());
        assert!(Names::any().covers(&all_but("lo")) && all_but("lo").covers(&only(&["eth0"])));
        assert!(!all_but("lo").covers(&Names::any()) && !only(&["eth0"]).covers(&Names::any()));
    }
}
