//! A terminal with a program on it: what its screen shows, keys, other sizes, and what the program leaves behind.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    process::{Child, Command, ExitStatus},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    pty::{Winsize, openpty},
    sys::{
        signal::{Signal, kill},
        termios::{Termios, tcgetattr},
    },
    unistd::{Pid, ttyname},
};
use snat_tests::{netns::output, wait};

/// A look, and what a busy machine adds.
const SOON: Duration = Duration::from_secs(20);

pub(crate) struct Terminal {
    keyboard: File,
    tty: OwnedFd,
    child: Child,
    screen: Arc<Mutex<vt100::Parser>>,
    before: Termios,
}

impl Terminal {
    /// Runs the command on a terminal of that size, which is its controlling terminal.
    pub(crate) fn run(command: &Command, (columns, rows): (u16, u16)) -> Result<Self> {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(&size, None).context("no pseudo terminal")?;
        let before = tcgetattr(&pty.slave)?;
        let child = Command::new("setsid")
            .arg("--ctty")
            .arg(command.get_program())
            .args(command.get_args())
            .env("TERM", "xterm-256color")
            .stdin(pty.slave.try_clone()?)
            .stdout(pty.slave.try_clone()?)
            .stderr(pty.slave.try_clone()?)
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let screen = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0)));
        let keyboard = File::from(pty.master);
        follow(keyboard.try_clone()?, Arc::clone(&screen));
        Ok(Self {
            keyboard,
            tty: pty.slave,
            child,
            screen,
            before,
        })
    }

    pub(crate) fn press(&mut self, keys: &str) -> Result<()> {
        self.keyboard.write_all(keys.as_bytes()).context("a key")
    }

    /// Makes it another size; the kernel tells the program by SIGWINCH.
    pub(crate) fn resize(&self, (columns, rows): (u16, u16)) -> Result<()> {
        self.parser().screen_mut().set_size(rows, columns);
        let tty = ttyname(&self.tty)?;
        let (columns, rows) = (columns.to_string(), rows.to_string());
        output(
            Command::new("stty")
                .arg("-F")
                .arg(tty)
                .args(["cols", &columns, "rows", &rows]),
        )
        .map(drop)
    }

    /// What is on it, a line for each row.
    pub(crate) fn text(&self) -> String {
        let parser = self.parser();
        let (_, columns) = parser.screen().size();
        let rows = parser.screen().rows(0, columns);
        rows.collect::<Vec<_>>().join("\n")
    }

    /// Waits until it shows what is looked for; prints what it shows then.
    pub(crate) fn until<T>(
        &self,
        what: &str,
        mut look: impl FnMut(&str) -> Result<T>,
    ) -> Result<T> {
        let found = wait::until(SOON, what, || {
            let text = self.text();
            let found = look(&text).with_context(|| format!("the screen is\n{text}"))?;
            println!("--- {what}:\n{text}");
            Ok(found)
        })?;
        self.is_tidy()?;
        Ok(found)
    }

    /// Waits until it shows all of these.
    pub(crate) fn shows(&self, wanted: &[&str]) -> Result<()> {
        self.until(&format!("the screen shows {wanted:?}"), |text| {
            for wanted in wanted {
                ensure!(text.contains(wanted), "no {wanted:?}");
            }
            Ok(())
        })
    }

    /// Nothing was written beyond the end of a row.
    fn is_tidy(&self) -> Result<()> {
        let parser = self.parser();
        let (rows, _) = parser.screen().size();
        let wrapped = (0..rows).find(|row| parser.screen().row_wrapped(*row));
        ensure!(wrapped.is_none(), "row {wrapped:?} goes on in the next");
        Ok(())
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, signal).with_context(|| signal.to_string())
    }

    /// Waits for the program's end, after which the terminal must be as it was before.
    pub(crate) fn end(mut self) -> Result<ExitStatus> {
        let status = wait::until(SOON, "the program ends", || {
            self.child.try_wait()?.context("it runs")
        })?;
        wait::until(SOON, "the terminal is as it was", || {
            let parser = self.parser();
            let screen = parser.screen();
            ensure!(!screen.alternate_screen(), "the other screen is left on");
            ensure!(!screen.hide_cursor(), "there is no cursor");
            let now = tcgetattr(&self.tty)?;
            ensure!(now == self.before, "{now:?}, not {:?}", self.before);
            Ok(())
        })?;
        Ok(status)
    }

    fn parser(&self) -> MutexGuard<'_, vt100::Parser> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Reads what the program writes until nobody has the terminal any more.
fn follow(mut from: File, screen: Arc<Mutex<vt100::Parser>>) {
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let mut parser = screen.lock().unwrap_or_else(PoisonError::into_inner);
            parser.process(&buffer[..count]);
        }
    });
}
