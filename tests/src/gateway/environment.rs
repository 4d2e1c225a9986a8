//! The environment of the gateway's processes.

use std::{ffi::OsString, process::Command};

use super::Gateway;
use crate::netns::command;

impl Gateway {
    /// From the next [`Gateway::start_again`] on the daemon, and from now on other commands, have these variables besides.
    pub fn set_environment(&mut self, variables: Vec<(&'static str, OsString)>) {
        self.environment = variables;
    }

    /// The program under test, where the gateway is.
    pub(super) fn command(&self) -> Command {
        let mut command = command(&self.netns, &self.program);
        command.envs(self.environment.iter().cloned());
        command
    }
}
