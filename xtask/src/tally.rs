//! Counts the tests of many programs by the result line each of them prints.

use std::{
    fmt,
    io::{BufRead, BufReader, Write, stdout},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

/// How many tests passed, failed and were left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Passed.
    pub(crate) passed: u64,
    /// Failed, or programs that ended badly without saying how many.
    pub(crate) failed: u64,
    /// Marked `#[ignore]`: known gaps.
    pub(crate) ignored: u64,
}

impl Tally {
    /// Runs a command that runs tests, shows what it prints and counts.
    pub(crate) fn run(&mut self, command: &mut Command) -> Result<()> {
        self.run_on(&mut stdout(), command)
    }

    /// What the closing line does not say: that tests were left out.
    pub(crate) fn note(&self) -> Option<String> {
        let Self { ignored, .. } = self;
        (*ignored > 0).then(|| format!("{ignored} ignored: each says why, see \"ignored,\" above"))
    }

    fn run_on(&mut self, screen: &mut impl Write, command: &mut Command) -> Result<()> {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the tests failed")?;
        let before = self.failed;
        let output = child
            .stdout
            .take()
            .context("the tests have no standard output")?;
        for line in BufReader::new(output).split(b'\n') {
            let line = line.context("reading what the tests print failed")?;
            screen
                .write_all(&line)
                .and_then(|()| screen.write_all(b"\n"))
                .context("writing to the terminal failed")?;
            self.count(&String::from_utf8_lossy(&line));
        }
        let status = child.wait().context("waiting for the tests failed")?;
        if !status.success() && self.failed == before {
            eprintln!("the tests ended with {status}, but report no failure: counted as one");
            self.failed += 1;
        }
        Ok(())
    }

    fn count(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result:") else {
            return;
        };
        self.passed += number_before(result, " passed");
        self.failed += number_before(result, " failed");
        self.ignored += number_before(result, " ignored");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

fn number_before(text: &str, word: &str) -> u64 {
    let before = text.split(word).next().unwrap_or_default();
    before
        .rsplit(' ')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::Tally;

    fn shell(script: &str) -> Tally {
        let mut tally = Tally::default();
        tally
            .run_on(
                &mut std::io::sink(),
                Command::new("sh").args(["-c", script]),
            )
            .unwrap();
        tally
    }

    #[test]
    fn results_of_several_programs_are_summed() {
        let tally = shell(
            "echo 'test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out'; \
             echo 'test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out'; exit 101",
        );
        assert_eq!(tally.to_string(), "15 passed, 2 failed");
        assert_eq!(tally.ignored, 1);
    }

    #[test]
    fn ignored_tests_are_told_of_and_only_if_there_are_any() {
        let one =
            "echo 'test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out';";
        let tally = shell(&one.repeat(2));
        assert_eq!(tally.to_string(), "4 passed, 0 failed");
        let note = tally.note().unwrap();
        assert!(note.starts_with("2 ignored: "), "{note}");
        assert_eq!(Tally::default().note(), None);
    }

    #[test]
    fn coloured_results_count_too() {
        let tally =
            shell("printf 'test result: \\033[32mok\\033[m. 7 passed; 0 failed; 0 ignored\\n'");
        assert_eq!(
            tally,
            Tally {
                passed: 7,
                failed: 0,
                ignored: 0
            }
        );
    }

    #[test]
    fn a_program_that_dies_without_a_result_is_a_failure() {
        assert_eq!(
            shell("kill -KILL $$"),
            Tally {
                passed: 0,
                failed: 1,
                ignored: 0
            }
        );
    }

    #[test]
    fn other_output_is_not_counted() {
        assert_eq!(shell("echo '9 passed; 9 failed'"), Tally::default());
    }
}
