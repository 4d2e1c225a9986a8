//! A shell script as a list of commands, whatever joins them.

use std::{iter::Peekable, str::Chars};

/// A simple command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    /// Line where it begins, from 1.
    pub(super) line: usize,
    /// As it stands there, without comments.
    pub(super) text: String,
    /// Its words, unquoted, without redirections; empty if its quotes don't close.
    pub(super) words: Vec<String>,
    /// Files that its output goes to.
    pub(super) into: Vec<String>,
    /// Whether the next command reads its output.
    pub(super) piped: bool,
}

/// Takes a script apart at newlines, `;`, `&`, `&&`, `|` and `||`.
pub(super) fn commands(script: &str) -> Vec<Command> {
    let mut splitter = Splitter {
        chars: script.chars().peekable(),
        line: 1,
        start: 1,
        piece: String::new(),
        found: Vec::new(),
    };
    while let Some(char) = splitter.chars.next() {
        splitter.take(char);
    }
    splitter.end(false);
    splitter.found
}

struct Splitter<'a> {
    chars: Peekable<Chars<'a>>,
    line: usize,
    start: usize,
    piece: String,
    found: Vec<Command>,
}

impl Splitter<'_> {
    fn take(&mut self, char: char) {
        match char {
            '\n' => {
                self.end(false);
                self.line += 1;
            }
            '\\' => self.escaped(),
            '\'' | '"' => self.quoted(char),
            '#' if self.piece.is_empty() || self.piece.ends_with(char::is_whitespace) => {
                while self.chars.next_if(|next| *next != '\n').is_some() {}
            }
            '>' => self.redirection(),
            // Of `2>&1` and `&>`.
            '&' if self.piece.ends_with("> ") || self.chars.peek() == Some(&'>') => {}
            ';' | '&' | '|' => {
                let twice = self.chars.next_if_eq(&char).is_some();
                self.end(char == '|' && !twice);
            }
            _ => self.push(char),
        }
    }

    fn push(&mut self, char: char) {
        if self.piece.trim_start().is_empty() {
            self.start = self.line;
        }
        self.piece.push(char);
    }

    fn escaped(&mut self) {
        match self.chars.next() {
            Some('\n') => {
                self.line += 1;
                self.piece.push(' ');
            }
            next => {
                self.push('\\');
                self.piece.extend(next);
            }
        }
    }

    fn quoted(&mut self, quote: char) {
        self.push(quote);
        while let Some(char) = self.chars.next() {
            self.piece.push(char);
            self.line += usize::from(char == '\n');
            if char == quote {
                return;
            }
            if char == '\\' && quote == '"' {
                self.piece.extend(self.chars.next());
            }
        }
    }

    /// Becomes a word `>`; the number before it is no word of the command.
    fn redirection(&mut self) {
        let kept = self
            .piece
            .trim_end_matches(|char: char| char.is_ascii_digit());
        if kept.is_empty() || kept.ends_with(char::is_whitespace) {
            self.piece.truncate(kept.len());
        }
        self.chars.next_if(|next| matches!(next, '>' | '|'));
        self.piece.push_str(" > ");
    }

    fn end(&mut self, piped: bool) {
        let text = std::mem::take(&mut self.piece).trim().to_owned();
        if text.is_empty() {
            return;
        }
        let (words, into) = without_redirections(shlex::split(&text).unwrap_or_default());
        self.found.push(Command {
            line: self.start,
            text,
            words,
            into,
            piped,
        });
    }
}

fn without_redirections(all: Vec<String>) -> (Vec<String>, Vec<String>) {
    let (mut words, mut into) = (Vec::new(), Vec::new());
    let mut all = all.into_iter();
    while let Some(word) = all.next() {
        if word == ">" {
            into.extend(all.next());
        } else {
            words.push(word);
        }
    }
    (words, into)
}

#[cfg(test)]
mod tests {
    use super::{Command, commands};

    fn words(script: &str) -> Vec<(usize, String)> {
        let line = |command: Command| (command.line, command.words.join(" "));
        commands(script).into_iter().map(line).collect()
    }

    #[test]
    fn commands_end_where_the_shell_ends_them() {
        let script =
            "#!/bin/sh\n\na 1;b 2 && c \\\n 3 || d # e; f\ng | h &\n'i;j' \"k && # l\" m#n\n";
        let expected = [
            (3, "a 1"),
            (3, "b 2"),
            (3, "c 3"),
            (4, "d"),
            (5, "g"),
            (5, "h"),
            (6, "i;j k && # l m#n"),
        ];
        assert_eq!(
            words(script),
            expected.map(|(line, text)| (line, text.to_owned()))
        );
    }

    #[test]
    fn redirections_are_no_words() {
        let found = commands(
            "ip rule del from 10.0.0.1 >/dev/null 2>&1; echo \"1001 eth1\" >> /etc/x\nq &>y",
        );
        let found: Vec<_> = found
            .iter()
            .map(|one| (one.words.join(" "), one.into.join(" ")))
            .collect();
        let expected = [
            ("ip rule del from 10.0.0.1", "/dev/null 1"),
            ("echo 1001 eth1", "/etc/x"),
            ("q", "y"),
        ];
        assert_eq!(
            found,
            expected.map(|(words, into)| (words.to_owned(), into.to_owned()))
        );
    }

    #[test]
    fn quotes_that_do_not_close_leave_no_words_and_lose_no_text() {
        let found = commands("ip rule add 'from 10.0.0.1\nip route add");
        assert_eq!(found.len(), 1);
        assert!(found[0].words.is_empty() && found[0].text.contains("ip route add"));
    }
}
