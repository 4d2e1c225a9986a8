//! What happens to flows and mappings beside a packet's verdict: one list, as for verdicts.

macro_rules! events {
    ($($(#[doc = $doc:literal])+ $name:ident = $value:literal, $label:literal;)+) => {
        /// Something that is counted; the index of its counter in map `EVENTS`.
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Event {
            $($(#[doc = $doc])+ $name = $value,)+
        }

        impl Event {
            /// Every event, in the order of the counters.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The stable name in JSON, metrics and documents.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)+
                }
            }

            /// What it means, in a sentence for people.
            #[must_use]
            pub const fn describe(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+),)+
                }
            }
        }
    };
}

events! {
    /// A flow was opened.
    FlowOpened = 0, "flow_opened";
    /// A flow was removed.
    FlowRemoved = 1, "flow_removed";
    /// A client's endpoint was given an external port of its own.
    MappingMade = 2, "mapping_made";
    /// Such a port was given back, after its rest.
    MappingRemoved = 3, "mapping_removed";
    /// No port of its own was left for a client's endpoint: the flow shares one between destinations.
    PortShared = 4, "port_shared";
    /// A search had to look beyond its first guesses.
    SearchScanned = 5, "search_scanned";
    /// The gateway sent an ICMP error or an RST of its own.
    AnswerSent = 6, "answer_sent";
    /// It would have, but for `answers_per_second`.
    AnswerHeldBack = 7, "answer_held_back";
    /// A flow could not be counted among its client's: there are more clients than the table takes.
    ClientUncounted = 8, "client_uncounted";
    /// A flow was opened from outside.
    FlowLetIn = 9, "flow_let_in";
    /// A flow was removed because it had been idle for too long.
    RemovedIdle = 10, "flow_removed_idle";
    /// A flow was removed that one side or both had closed.
    RemovedClosed = 11, "flow_removed_closed";
    /// A flow was removed that an RST had ended.
    RemovedReset = 12, "flow_removed_reset";
    /// A flow was removed whose opening SYN nobody had answered.
    RemovedUnanswered = 13, "flow_removed_unanswered";
    /// A flow was removed because somebody asked for it.
    RemovedFlushed = 14, "flow_removed_flushed";
    /// A dropped packet was not reported: there were too many.
    ReportHeldBack = 15, "report_held_back";
    /// A dropped packet was not reported: whoever watched was too slow.
    ReportLost = 16, "report_lost";
    /// A record of the log was lost: whoever writes it was too slow, or was not there.
    LogLost = 17, "log_lost";
    /// A flow was removed in the moment it was opened: another CPU opened the same, or there was no room.
    RemovedUndone = 18, "flow_removed_undone";
    /// A flow was removed that a change of the configuration had ended.
    RemovedConfig = 19, "flow_removed_config";
}

impl Event {
    /// How many events there are.
    pub const COUNT: u32 = Self::ALL.len() as u32;
}
