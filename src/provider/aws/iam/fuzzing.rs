//! What IAM, or something else in its place, answers.

use super::answer::{page, refusal};
use super::{ResourcePolicy, permission};

/// Nothing that is answered does harm, and what is made of it is told in one line.
pub fn iam(bytes: &[u8]) {
    if let Ok(page) = page(bytes) {
        for evaluation in page.results.iter().chain(&page.together) {
            for policy in [ResourcePolicy::None, ResourcePolicy::There] {
                let permission = permission("arn", evaluation, &policy);
                assert!(!permission.why.contains(char::is_control), "{:?}", permission.why);
            }
        }
    }
    let _ = refusal(bytes).code();
}
