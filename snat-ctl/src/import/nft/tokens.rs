//! Words and signs of a ruleset as `nft` writes it.

use std::{iter::Peekable, str::Chars};

/// A word, a sign (`{`, `}`, `,`, `;`), or the end of a line (`\n`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// From 1.
    pub(super) line: usize,
    /// Without quotes.
    pub(super) text: String,
    quoted: bool,
}

impl Token {
    /// Whether it is this sign or keyword, and not a string that says the same.
    pub(super) fn is(&self, text: &str) -> bool {
        !self.quoted && self.text == text
    }
}

/// Takes the text apart; comments are no tokens.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut all = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line_number = index + 1;
        let mut push = |text: String, quoted| {
            all.push(Token {
                line: line_number,
                text,
                quoted,
            });
        };
        let mut chars = line.chars().peekable();
        while let Some(char) = chars.next() {
            match char {
                '#' => break,
                '"' => push(
                    chars.by_ref().take_while(|char| *char != '"').collect(),
                    true,
                ),
                '{' | '}' | ',' | ';' => push(char.into(), false),
                _ if char.is_whitespace() => {}
                _ => push(word(char, &mut chars), false),
            }
        }
        push("\n".to_owned(), false);
    }
    all
}

/// As one would write them in a line.
pub(super) fn joined(tokens: &[Token]) -> String {
    let mut text = String::new();
    for token in tokens.iter().filter(|token| !token.is("\n")) {
        if !text.is_empty() && !token.is(",") && !token.is(";") {
            text.push(' ');
        }
        if token.quoted {
            text.push_str(&format!("\"{}\"", token.text));
        } else {
            text.push_str(&token.text);
        }
    }
    text
}

fn word(first: char, chars: &mut Peekable<Chars<'_>>) -> String {
    let mut word = String::from(first);
    let ends = |char: &char| char.is_whitespace() || matches!(char, '{' | '}' | ',' | ';' | '"');
    while let Some(char) = chars.next_if(|char| !ends(char)) {
        word.push(char);
    }
    word
}
