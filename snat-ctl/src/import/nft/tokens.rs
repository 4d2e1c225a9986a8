//! Words and signs of a ruleset as `nft` writes it.

use std::{iter::Peekable, str::CharIndices};

/// A word, a sign (`{`, `}`, `,`, `;`), or the end of a line (`\n`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// From 1.
    pub(super) line: usize,
    /// Without quotes.
    pub(super) text: String,
    quoted: bool,
    /// Bytes of the text.
    span: (usize, usize),
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
    let mut start = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let mut push = |text: String, quoted, span: (usize, usize)| {
            let span = (start + span.0, start + span.1);
            all.push(Token {
                line: index + 1,
                text,
                quoted,
                span,
            });
        };
        let mut chars = line.char_indices().peekable();
        while let Some((at, char)) = chars.next() {
            let (text, quoted) = match char {
                '#' => break,
                '"' => {
                    let string = chars.by_ref().map(|(_, char)| char);
                    (string.take_while(|char| *char != '"').collect(), true)
                }
                '{' | '}' | ',' | ';' => (char.into(), false),
                _ if char.is_whitespace() => continue,
                _ => (word(char, &mut chars), false),
            };
            let end = chars.peek().map_or(line.len(), |(next, _)| *next);
            push(text, quoted, (at, end));
        }
        push("\n".to_owned(), false, (line.len(), line.len()));
        start += line.len();
    }
    all
}

/// As they stand in the text, in one line.
pub(super) fn as_written(text: &str, tokens: &[Token]) -> String {
    let mut tokens = tokens.iter().filter(|token| !token.is("\n"));
    let first = tokens.next();
    let last = tokens.next_back().or(first);
    let span = first
        .zip(last)
        .map(|(first, last)| first.span.0..last.span.1);
    let written = span.and_then(|span| text.get(span));
    let words: Vec<_> = written.unwrap_or_default().split_whitespace().collect();
    words.join(" ")
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

fn word(first: char, chars: &mut Peekable<CharIndices<'_>>) -> String {
    let mut word = String::from(first);
    let ends = |char: &char| char.is_whitespace() || matches!(char, '{' | '}' | ',' | ';' | '"');
    while let Some((_, char)) = chars.next_if(|(_, char)| !ends(char)) {
        word.push(char);
    }
    word
}
