//! Can it be recorded, where it must be?

use super::Inquiry;
use crate::access::explanation::{Says, Stage};
use crate::fs::errno;
use crate::tree::{Kind, Refusal};

impl Inquiry<'_> {
    /// By what became of the last records: none is written to find it out.
    pub(super) fn recording(&mut self) {
        // Where a link points to is told without a record.
        if self.node.kind() == Kind::Link {
            return;
        }
        let failing = self.operations.recorder.log().hindrances();
        if failing.is_empty() {
            return;
        }
        let errno = errno::name(errno::of(&Refusal::NotRecorded));
        let sinks = failing.join("; ");
        self.says(
            Stage::Audit,
            Says::No,
            format!(
                "a record of it is required (required = true in [audit]), and cannot be written to {sinks} ({errno})"
            ),
        );
        self.change.push(
            "have the audit log be written again: make room on its disk, or make its folder anew; hushfs tries it every \
             second, and hushfs status says how it fares"
                .to_owned(),
        );
    }
}
