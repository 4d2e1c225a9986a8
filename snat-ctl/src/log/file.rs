//! The log as a file that others may move away.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// An open file, and what has not been written to it yet.
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    pending: Vec<u8>,
    /// How much of `pending` is in the file already.
    written: usize,
}

impl LogFile {
    /// Opens the file, and makes it and its directory if they are not there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: open(path)?,
            pending: Vec::new(),
            written: 0,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes a line, without its newline.
    pub(super) fn push(&mut self, line: &str) {
        self.pending.extend(line.as_bytes());
        self.pending.push(b'\n');
    }

    /// Bytes that wait.
    pub(super) fn waiting(&self) -> &[u8] {
        &self.pending[self.written..]
    }

    /// Writes what waits. After an error the next call goes on where this one stopped.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while !self.waiting().is_empty() {
            match self.file.write(&self.pending[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.pending.clear();
        self.written = 0;
        Ok(())
    }

    /// Opens the file anew if it was moved away or removed; says whether it was.
    pub(super) fn follow(&mut self) -> io::Result<bool> {
        let own = self.file.metadata()?;
        let there = fs::metadata(&self.path);
        if there.is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino())) {
            return Ok(false);
        }
        self.file = open(&self.path)?;
        // A line whose begin is in the old file is written whole into the new one.
        let done = &self.pending[..self.written];
        let begun = done.iter().rposition(|byte| *byte == b'\n');
        self.pending.drain(..begun.map_or(0, |at| at + 1));
        self.written = 0;
        Ok(true)
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    // To open a FIFO would wait for its reader.
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        let what = "it is there, and not a regular file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    let mut options = OpenOptions::new();
    options.append(true).create(true).read(true).mode(0o640);
    let mut file = options.open(path)?;
    // Who wrote to it before may have been stopped in the middle of a line.
    if file.seek(SeekFrom::End(0))? != 0 {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::LogFile;

    fn scratch(name: &str) -> std::path::PathBuf {
        let dir = std::env::temp_dir().join(format!("snat-log-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        dir
    }

    #[test]
    fn a_new_file_is_made_with_its_directory_and_is_not_for_everybody() {
        let dir = scratch("new");
        let path = dir.join("deep/mappings.jsonl");
        let mut log = LogFile::open(&path).expect("open");
        log.push("one");
        log.flush().expect("flush");
        assert_eq!(fs::read_to_string(&path).expect("read"), "one\n");
        let mode = fs::metadata(&path).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777 & !0o640, 0, "{mode:o}");
        fs::remove_dir_all(dir).expect("clean up");
    }

    #[test]
    fn half_a_line_left_by_another_is_ended_before_the_next() {
        let dir = scratch("half");
        let path = dir.join("log");
        drop(LogFile::open(&path).expect("open"));
        fs::write(&path, "whole\nha").expect("write");
        let mut log = LogFile::open(&path).expect("open");
        log.push("new");
        log.flush().expect("flush");
        assert_eq!(fs::read_to_string(&path).expect("read"), "whole\nha\nnew\n");
        fs::remove_dir_all(dir).expect("clean up");
    }

    #[test]
    fn a_file_that_was_moved_away_is_begun_anew_with_the_whole_of_what_waits() {
        let dir = scratch("moved");
        let path = dir.join("log");
        let mut log = LogFile::open(&path).expect("open");
        assert!(!log.follow().expect("follow"));
        log.push("first");
        log.push("second");
        // As after an error in the middle of the second line.
        log.written = "first\nse".len();
        fs::rename(&path, dir.join("log.1")).expect("rename");
        assert!(log.follow().expect("follow"));
        log.flush().expect("flush");
        assert_eq!(fs::read_to_string(&path).expect("read"), "second\n");
        fs::remove_dir_all(dir).expect("clean up");
    }
}
