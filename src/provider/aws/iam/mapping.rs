//! From IAM's words to yes, no and unknown.
//!
//! A no that is none takes a file away from somebody who may read it; so where IAM did not see everything
//! that decides, it is unknown.

use super::answer::Evaluation;
use crate::provider::text::clean;
use crate::provider::{Known, Permission};

/// Has what is read a policy of its own? IAM leaves that out where it simulates a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum ResourcePolicy {
    None,
    There,
    /// And why not.
    Unknown(String),
}

/// Does the answer hang on the resource's own policy, so that it is worth asking for?
pub(in super::super) fn hangs_on_resource_policy(evaluation: &Evaluation) -> bool {
    evaluation.decision == "implicitDeny" && evaluation.missing.is_empty() && !evaluation.refused_by_organization
}

pub(in super::super) fn permission(
    principal: &str,
    evaluation: &Evaluation,
    resource_policy: &ResourcePolicy,
) -> Permission {
    let (read, open) = match evaluation.decision.as_str() {
        "allowed" => (Known::Yes, None),
        "explicitDeny" | "implicitDeny" if !evaluation.missing.is_empty() => {
            (Known::Unknown, Some(format!("not known here: {}", evaluation.missing.join(", "))))
        }
        // The simulation leaves out service control policies with conditions, which may be what allows it.
        "explicitDeny" | "implicitDeny" if evaluation.refused_by_organization => {
            (Known::Unknown, Some("its policies with conditions are not simulated".into()))
        }
        // Whatever else allows it.
        "explicitDeny" => (Known::No, None),
        "implicitDeny" => match resource_policy {
            ResourcePolicy::None => (Known::No, Some("it has no policy of its own".into())),
            ResourcePolicy::There => {
                (Known::Unknown, Some("its own policy may allow it, which IAM does not simulate".into()))
            }
            ResourcePolicy::Unknown(why) => {
                (Known::Unknown, Some(format!("its own policy may allow it and is not known: {why}")))
            }
        },
        _ => (Known::Unknown, Some("a decision that this hushfs does not know".into())),
    };
    Permission { read, why: why(principal, evaluation, open.as_deref()) }
}

/// Nothing was decided.
pub(in super::super) fn unknown(principal: &str, why: &str) -> Permission {
    Permission { read: Known::Unknown, why: clean(&format!("iam:SimulatePrincipalPolicy of {principal}: {why}")) }
}

fn why(principal: &str, evaluation: &Evaluation, open: Option<&str>) -> String {
    let mut text = format!("iam:SimulatePrincipalPolicy of {principal}: {}", evaluation.decision);
    for (number, policy) in evaluation.policies.iter().enumerate() {
        text.push_str(if number == 0 { " by policy " } else { ", " });
        text.push_str(policy);
    }
    let limits = [
        (evaluation.refused_by_boundary, "the permissions boundary does not allow it"),
        (evaluation.refused_by_organization, "the organization does not allow it"),
    ];
    for part in limits.into_iter().filter_map(|(refused, part)| refused.then_some(part)).chain(open) {
        text.push_str("; ");
        text.push_str(part);
    }
    clean(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: &str = "arn:aws:iam::123456789012:user/u";

    fn evaluation(decision: &str, missing: &[&str]) -> Evaluation {
        Evaluation {
            resource: "arn:x".into(),
            decision: decision.into(),
            missing: missing.iter().map(|key| (*key).to_owned()).collect(),
            ..Evaluation::default()
        }
    }

    fn read(decision: &str, missing: &[&str], policy: &ResourcePolicy) -> Known {
        permission(ME, &evaluation(decision, missing), policy).read
    }

    fn policies() -> [ResourcePolicy; 3] {
        [ResourcePolicy::None, ResourcePolicy::There, ResourcePolicy::Unknown("refused".into())]
    }

    #[test]
    fn allowed_is_yes_whatever_else_is_not_known() {
        for policy in policies() {
            assert_eq!(read("allowed", &[], &policy), Known::Yes);
            assert_eq!(read("allowed", &["aws:SourceIp"], &policy), Known::Yes);
        }
    }

    #[test]
    fn an_explicit_deny_is_no_whatever_the_secret_s_own_policy_says() {
        for policy in policies() {
            assert_eq!(read("explicitDeny", &[], &policy), Known::No);
        }
    }

    #[test]
    fn a_deny_without_all_that_policies_ask_for_is_not_known() {
        for decision in ["explicitDeny", "implicitDeny"] {
            for policy in policies() {
                assert_eq!(read(decision, &["aws:SourceIp"], &policy), Known::Unknown);
            }
        }
        let permission = permission(ME, &evaluation("explicitDeny", &["aws:SourceIp", "aws:b"]), &ResourcePolicy::None);
        assert!(permission.why.contains("aws:SourceIp, aws:b"), "{}", permission.why);
    }

    #[test]
    fn an_implicit_deny_is_no_only_where_the_secret_is_known_to_have_no_policy() {
        assert_eq!(
            policies().map(|policy| read("implicitDeny", &[], &policy)),
            [Known::No, Known::Unknown, Known::Unknown]
        );
        assert!(hangs_on_resource_policy(&evaluation("implicitDeny", &[])));
        for (decision, missing) in [("implicitDeny", &["a"][..]), ("explicitDeny", &[]), ("allowed", &[]), ("x", &[])] {
            assert!(!hangs_on_resource_policy(&evaluation(decision, missing)), "{decision}");
        }
    }

    #[test]
    fn a_deny_of_the_organization_is_not_sure() {
        for decision in ["explicitDeny", "implicitDeny"] {
            let evaluation = Evaluation { refused_by_organization: true, ..evaluation(decision, &[]) };
            assert!(!hangs_on_resource_policy(&evaluation));
            for policy in policies() {
                assert_eq!(permission(ME, &evaluation, &policy).read, Known::Unknown);
            }
        }
    }

    #[test]
    fn words_that_are_not_known_are_unknown() {
        for word in ["", "Allowed", "ALLOWED", "denied", "explicitdeny", " allowed", "allowed\n"] {
            for policy in policies() {
                assert_eq!(read(word, &[], &policy), Known::Unknown, "{word:?}");
            }
        }
    }

    #[test]
    fn the_reason_names_what_decided() {
        let mut evaluation = evaluation("implicitDeny", &[]);
        evaluation.policies = vec!["reading".into(), "boundary".into()];
        evaluation.refused_by_boundary = true;
        let why = permission(ME, &evaluation, &ResourcePolicy::Unknown("AccessDenied".into())).why;
        for part in [ME, "implicitDeny by policy reading, boundary", "permissions boundary", "AccessDenied"] {
            assert!(why.contains(part), "{why}");
        }
        evaluation.refused_by_organization = true;
        let why = permission(ME, &evaluation, &ResourcePolicy::None).why;
        assert!(why.contains("the organization does not allow it"), "{why}");
    }

    #[test]
    fn the_reason_is_one_line_of_bounded_length_whatever_iam_says() {
        let mut evaluation = evaluation("allowed\r\n", &["a\0b"]);
        evaluation.policies = vec!["long\n".repeat(10_000)];
        let why = permission(ME, &evaluation, &ResourcePolicy::None).why;
        assert!(why.chars().count() <= 400 && !why.chars().any(char::is_control), "{why}");
        assert!(!unknown("a\nb", "c\nd").why.contains('\n'));
    }

    mod properties {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            /// The promise of the whole module, for whatever IAM may answer.
            #[test]
            fn no_is_said_only_when_nothing_is_missing(
                decision in prop_oneof![Just("allowed".to_owned()), Just("explicitDeny".to_owned()),
                                        Just("implicitDeny".to_owned()), ".*"],
                missing in proptest::collection::vec(".*", 0..3),
                policy in 0..3usize,
                boundary: bool,
                organization: bool,
            ) {
                let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
                let mut evaluation = evaluation(&decision, &missing);
                evaluation.refused_by_boundary = boundary;
                evaluation.refused_by_organization = organization;
                let policy = policies()[policy].clone();
                let sure = missing.is_empty()
                    && !organization
                    && (decision == "explicitDeny" || (decision == "implicitDeny" && policy == ResourcePolicy::None));
                prop_assert_eq!(permission(ME, &evaluation, &policy).read == Known::No, sure);
            }
        }
    }
}
