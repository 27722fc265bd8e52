//! Can the configuration be used?

use super::finding::Finding;
use crate::config::{Loaded, Report};

const NAME: &str = "configuration";

pub fn check(loaded: &Result<Loaded, Report>) -> Vec<Finding> {
    let loaded = match loaded {
        Err(report) => {
            return vec![
                Finding::problem(NAME, "the configuration cannot be used")
                    .why(report.render(false))
                    .mend("hushfs check, until it says ok"),
            ];
        }
        Ok(loaded) => loaded,
    };
    let mut findings = vec![match loaded.config.scopes.len() {
        0 => Finding::note(NAME, "it can be used, and has no scope")
            .why("the mount will be an empty directory")
            .mend("add a [scopes.NAME]"),
        1 => Finding::ok(NAME, "it can be used, and has one scope"),
        many => Finding::ok(NAME, format!("it can be used, and has {many} scopes")),
    }];
    if !loaded.warnings.is_empty() {
        findings.push(Finding::note(NAME, "it has warnings").why(loaded.warnings.render(false)));
    }
    findings
}
