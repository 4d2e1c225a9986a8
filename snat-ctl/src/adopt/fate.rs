//! What becomes of a connection when the gateway takes the kernel's place.

use serde::Serialize;
use snat_common::adopt::Adoption;

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is a flow from then on, with the external endpoint that it has.
    TakenOver(Adoption),
    /// The gateway does not come into it: it goes on as it is.
    Stays,
    /// It is over.
    Ended,
    /// It ends, or goes on under another external endpoint.
    Cut(Reason),
}

/// Why a connection that lives cannot be taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The source of what the kernel translates is no client's.
    Source,
    /// The external address is none of the client's.
    External,
    /// The destination is bypassed.
    Bypass,
    /// The kernel does not translate it, the gateway would.
    NotTranslated,
    /// From outside, and there is no such port forward.
    NoForward,
    /// A client's packets go to another destination than they were sent to.
    Redirected,
    /// Source and destination are both translated.
    Both,
    /// Not TCP, UDP, UDP-Lite or ICMP echo.
    Protocol,
}

impl Reason {
    /// What it means and what helps, in a sentence without its full stop.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Source => {
                "the kernel translates it, and its source is in no [[snat]]: add it to `source`, or have the kernel's rules use ports that are not in `ports`"
            }
            Self::External => {
                "the external address is not one of its [[snat]]'s: add it to `external`"
            }
            Self::Bypass => "the destination is in a [[bypass]]: take it out of there",
            Self::NotTranslated => {
                "the kernel routes it untranslated, the gateway would translate it: add the destination to [[bypass]]"
            }
            Self::NoForward => "it came by DNAT, and no [[forward]] says the same: write one",
            Self::Redirected => {
                "a rule sends it to another destination than the client's, which the gateway does not do"
            }
            Self::Both => "source and destination are translated: a hairpin, which opens anew",
            Self::Protocol => "of its protocol no connections are taken over: it opens anew",
        }
    }
}
