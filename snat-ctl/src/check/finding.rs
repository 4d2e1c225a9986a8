//! One thing that was looked at: how it stands, why that matters, what to do.

use std::fmt;

use serde::Serialize;

/// A finding; its JSON form is part of the command's contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable name, such as `interface.exists`.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about where there may be several: an interface, an entry.
    pub subject: Option<String>,
    /// What was found.
    pub what: String,
    /// Why it matters; none if all is well.
    pub why: Option<String>,
    /// What to do; none if there is nothing to do.
    pub fix: Option<String>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Info,
    /// Works, and something will not work as expected.
    Warn,
    /// The gateway cannot work: `run` refuses.
    Fatal,
}

impl Finding {
    pub(super) fn ok(id: &'static str, what: impl Into<String>) -> Self {
        Self {
            id,
            severity: Severity::Ok,
            subject: None,
            what: what.into(),
            why: None,
            fix: None,
        }
    }

    pub(super) fn new(
        severity: Severity,
        id: &'static str,
        what: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        let (why, fix) = (Some(why.into()), Some(fix.into()));
        Self {
            id,
            severity,
            subject: None,
            what: what.into(),
            why,
            fix,
        }
    }

    pub(super) fn info(
        id: &'static str,
        what: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::new(Severity::Info, id, what, why, fix)
    }

    pub(super) fn warn(
        id: &'static str,
        what: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::new(Severity::Warn, id, what, why, fix)
    }

    pub(super) fn fatal(
        id: &'static str,
        what: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::new(Severity::Fatal, id, what, why, fix)
    }

    pub(super) fn about(mut self, subject: &str) -> Self {
        self.subject = Some(subject.to_owned());
        self
    }
}

impl Severity {
    /// The word for it, as in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Fatal => "fatal",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        for (label, text) in [("why", &self.why), ("fix", &self.fix)] {
            if let Some(text) = text {
                write!(f, "\n    {label}: {text}")?;
            }
        }
        Ok(())
    }
}
