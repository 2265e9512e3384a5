//! Lines that are left out: all are counted, the first are listed.

use tandem_domain::contact_file::{FileError, LineError};
use tandem_proto::v1::ImportIssue;

/// Lines that are listed.
const LISTED_MAX: usize = 1_000;

/// Lines that were left out.
#[derive(Debug, Default)]
pub struct Issues {
    pub listed: Vec<ImportIssue>,
    pub count: u64,
}

impl Issues {
    pub fn add(&mut self, error: &LineError) {
        self.count += 1;
        if self.listed.len() < LISTED_MAX {
            self.listed.push(ImportIssue {
                line: error.line,
                column: error.column.clone().unwrap_or_default(),
                reason: error.reason.code().to_owned(),
                description: error.reason.to_string(),
            });
        }
    }

    pub fn is_truncated(&self) -> bool {
        self.count > self.listed.len() as u64
    }
}

/// Where and why a file could not be read on.
pub fn stopped(error: &FileError) -> ImportIssue {
    ImportIssue {
        line: error.line().unwrap_or(0),
        column: String::new(),
        reason: error.reason().to_owned(),
        description: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_domain::contact_file::Reason;

    #[test]
    fn all_lines_are_counted_and_the_first_thousand_listed() {
        let mut issues = Issues::default();
        for line in 1..=1_500 {
            issues.add(&LineError { line, column: Some("phone".into()), reason: Reason::Priority });
        }
        assert_eq!((issues.count, issues.listed.len(), issues.is_truncated()), (1_500, 1_000, true));
        assert_eq!((issues.listed[0].line, issues.listed[0].reason.as_str()), (1, "priority"));
    }
}
