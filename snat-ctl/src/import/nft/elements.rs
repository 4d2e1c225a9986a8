//! Elements of sets and maps.

use super::tokens::Token;

/// Elements of a set or map: of a map with what they lead to.
#[derive(Clone, Debug, Default)]
pub(super) struct Elements(Vec<(Vec<String>, Option<Vec<String>>)>);

impl Elements {
    /// Those of `type ipv4_addr; elements = { ... }`.
    pub(super) fn of_set(block: &[Token]) -> Self {
        let mut behind = block.iter().skip_while(|token| !token.is("elements"));
        let found = behind.position(|token| token.is("{")).is_some();
        let inner: Vec<_> = behind.cloned().collect();
        let end = inner
            .iter()
            .rposition(|token| token.is("}"))
            .unwrap_or(inner.len());
        if found {
            Self::read(&inner[..end])
        } else {
            Self::default()
        }
    }

    pub(super) fn read(tokens: &[Token]) -> Self {
        let elements = tokens.split(|token| token.is(","));
        let elements = elements.map(|element| {
            let mut sides = element.split(|token| token.is(":")).map(columns);
            (sides.next().unwrap_or_default(), sides.next())
        });
        Self(elements.filter(|(key, _)| !key.is_empty()).collect())
    }

    pub(super) fn keys(self) -> Vec<Vec<String>> {
        self.0.into_iter().map(|(key, _)| key).collect()
    }

    pub(super) fn pairs(self) -> Option<Vec<(Vec<String>, Vec<String>)>> {
        self.0
            .into_iter()
            .map(|(key, value)| Some((key, value?)))
            .collect()
    }
}

/// `10.0.0.1 . 80`, without what else an element says.
fn columns(tokens: &[Token]) -> Vec<String> {
    let more = |token: &&Token| {
        !["comment", "timeout", "expires", "counter"]
            .iter()
            .any(|word| token.is(word))
    };
    let words = tokens
        .iter()
        .filter(|token| !token.is("\n"))
        .take_while(more);
    words
        .filter(|token| !token.is("."))
        .map(|token| token.text.clone())
        .collect()
}
