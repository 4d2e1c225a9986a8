//! The log in systemd's journal: a message with the line, and fields to look for.

use std::{collections::VecDeque, io};

use log::{Level, Record};
use systemd_journal_logger::JournalLog;

use super::line::Line;

/// The journal, and what it has not been told yet.
pub(super) struct Journal {
    journal: JournalLog,
    pending: VecDeque<Line>,
}

impl Journal {
    /// Fails where no journal listens.
    pub(super) fn open() -> io::Result<Self> {
        let journal = JournalLog::empty()?.with_syslog_identifier("snat-ctl".to_owned());
        Ok(Self {
            journal,
            pending: VecDeque::new(),
        })
    }

    pub(super) fn push(&mut self, line: Line) {
        self.pending.push_back(line);
    }

    /// How many lines wait.
    pub(super) fn waiting(&self) -> usize {
        self.pending.len()
    }

    /// Sends what waits; waits itself where the journal is slow.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while let Some(line) = self.pending.front() {
            self.send(line)?;
            self.pending.pop_front();
        }
        Ok(())
    }

    fn send(&self, line: &Line) -> io::Result<()> {
        let fields = fields(line);
        let mut record = Record::builder();
        record.level(Level::Debug).target("snat_ctl::log");
        record.key_values(&fields);
        let json = line.json();
        self.journal
            .journal_send(&record.args(format_args!("{json}")).build())
    }
}

/// The client turns them into upper case.
fn fields(line: &Line) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("snat_instance", line.instance.clone()),
        ("snat_event", line.event.to_owned()),
    ];
    if let Some(owner) = &line.owner {
        fields.extend([
            ("snat_protocol", owner.protocol.to_string()),
            ("snat_client", owner.client.to_string()),
            ("snat_client_port", owner.client_port.to_string()),
            ("snat_external", owner.external.to_string()),
            ("snat_external_port", owner.external_port.to_string()),
        ]);
        let server = owner.server.map(|server| server.to_string());
        fields.extend(server.map(|server| ("snat_server", server)));
        let port = owner.server_port.map(|port| port.to_string());
        fields.extend(port.map(|port| ("snat_server_port", port)));
    }
    fields
}
