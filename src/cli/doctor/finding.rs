//! What a check found.

use serde::Serialize;

use crate::cli::output::table::{Align, Table};

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but somebody should look.
    Warn,
    /// An agent would refuse to start or to go on.
    Fail,
    /// Not looked at, and why.
    Skipped,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
            Self::Skipped => "skipped",
        }
    }
}

/// One check with its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How it went.
    pub verdict: Verdict,
    /// A sentence.
    pub detail: String,
}

impl Finding {
    /// Joins the three.
    pub fn new(check: &'static str, verdict: Verdict, detail: impl Into<String>) -> Self {
        Self { check, verdict, detail: detail.into() }
    }
}

/// Findings, one a line.
#[must_use]
pub fn table_of(findings: &[Finding]) -> Table {
    let mut table = Table::new(&[("CHECK", Align::Left), ("RESULT", Align::Left), ("DETAIL", Align::Left)]);
    for finding in findings {
        table.row([finding.check.to_owned(), finding.verdict.as_str().to_owned(), finding.detail.clone()]);
    }
    table
}
