//! The event log: it says whose an external port was, and when; and what `run --trace` shows.

mod book;
mod files;
mod journal;
mod losses;
mod owners;
mod restarts;
mod trace;
