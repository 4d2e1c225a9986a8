//! The gateway's user-space home: configuration, checks, the control of the datapath, and the commands.

pub mod adopt;
pub mod advice;
pub mod alerts;
pub mod check;
pub mod cli;
pub mod commands;
pub mod config;
pub mod daemon;
pub mod datapath;
pub mod eni;
pub mod explain;
pub mod health;
pub mod heartbeat;
pub mod import;
pub mod instance;
pub mod last_errors;
pub mod log;
pub mod metrics;
pub mod netlink;
pub mod netns;
pub mod output;
pub mod service;
pub mod state_file;
mod tool;
pub mod trace;
pub mod watch;
