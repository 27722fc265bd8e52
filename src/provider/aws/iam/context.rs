//! What is known of a read before it is made: the condition keys that policies may ask for.

use std::collections::BTreeMap;

use super::principal::{Kind, Principal, account_of};
use super::{About, Action};

/// A condition key and its value, as IAM takes them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: String,
    /// IAM's name of the type.
    pub(super) kind: &'static str,
}

impl Entry {
    fn text(key: &str, value: impl Into<String>) -> Self {
        Self { key: key.to_owned(), value: value.into(), kind: "string" }
    }

    fn boolean(key: &str, value: bool) -> Self {
        Self { key: key.to_owned(), value: value.to_string(), kind: "boolean" }
    }
}

/// What all reads of a scope have in common.
#[derive(Debug)]
pub(super) struct Reads<'a> {
    pub(super) principal: &'a Principal,
    pub(super) region: &'a str,
    /// Does the service's endpoint speak TLS?
    pub(super) over_tls: bool,
}

impl Reads<'_> {
    /// The entries of a question about many secrets.
    pub(super) fn common(&self, action: &Action) -> Vec<Entry> {
        let principal = self.principal;
        let kind = match principal.kind {
            Kind::User => "User",
            Kind::Role => "AssumedRole",
        };
        let mut entries: Vec<Entry> = action.context.iter().map(|(key, value)| Entry::text(key, *value)).collect();
        entries.extend([
            Entry::text("aws:RequestedRegion", self.region),
            Entry::text("aws:PrincipalArn", &principal.arn),
            Entry::text("aws:PrincipalAccount", &principal.account),
            Entry::text("aws:PrincipalType", kind),
            Entry::boolean("aws:SecureTransport", self.over_tls),
            Entry::boolean("aws:PrincipalIsAWSService", false),
            Entry::boolean("aws:ViaAWSService", false),
        ]);
        entries
    }

    /// The entries for what policies ask about this secret and no question had: those of `missing` that are
    /// known. A tag that the secret does not have is not among them: IAM cannot be told of an absence.
    pub(super) fn of_secret(&self, secret: &About, missing: &[String]) -> Vec<Entry> {
        let known = missing.iter().filter_map(|key| {
            let value = value(secret, &key.to_ascii_lowercase())?;
            Some((key.to_ascii_lowercase(), Entry::text(key, value)))
        });
        // One entry for a key, however often and in whatever case it is named.
        known.collect::<BTreeMap<_, _>>().into_values().collect()
    }
}

fn value<'a>(secret: &'a About, key: &str) -> Option<&'a str> {
    let tag = ["aws:", "secretsmanager:", "ssm:"]
        .iter()
        .find_map(|service| key.strip_prefix(service)?.strip_prefix("resourcetag/"));
    if let Some(tag) = tag {
        let mut values = secret.tags.iter().filter(|(name, _)| name.to_ascii_lowercase() == tag);
        // Condition keys know no case, tags do: of two that differ in nothing else, either may be meant.
        return match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        };
    }
    match key {
        "secretsmanager:secretid" => Some(&secret.arn),
        "aws:resourceaccount" | "secretsmanager:resourceaccount" => account_of(&secret.arn),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf";

    fn found(tags: &[(&str, &str)], missing: &[&str]) -> Vec<(String, String)> {
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let secret = About { arn: ARN.into(), tags: tags.iter().map(pair).collect() };
        let principal = Principal { arn: "a".into(), account: "1".into(), kind: Kind::User };
        let reads = Reads { principal: &principal, region: "us-east-1", over_tls: true };
        let missing: Vec<String> = missing.iter().map(|key| (*key).to_owned()).collect();
        reads.of_secret(&secret, &missing).into_iter().map(|entry| (entry.key, entry.value)).collect()
    }

    #[test]
    fn tags_are_found_under_both_names_and_in_any_case() {
        let tags = [("team", "data"), ("Env", "prod")];
        for key in ["aws:ResourceTag/team", "secretsmanager:ResourceTag/Team", "AWS:resourcetag/TEAM"] {
            assert_eq!(found(&tags, &[key]), [(key.to_owned(), "data".to_owned())]);
        }
        assert_eq!(found(&tags, &["aws:ResourceTag/env", "aws:ResourceTag/ENV"]).len(), 1);
    }

    #[test]
    fn a_tag_that_is_not_there_or_not_one_is_left_out() {
        assert!(found(&[], &["aws:ResourceTag/team"]).is_empty());
        assert!(found(&[("team", "a"), ("Team", "b")], &["aws:ResourceTag/team"]).is_empty());
    }

    #[test]
    fn what_only_the_call_itself_shows_is_not_made_up() {
        assert!(found(&[], &["aws:SourceIp", "aws:SourceVpce", "aws:PrincipalTag/team", "", "/"]).is_empty());
        assert_eq!(found(&[], &["secretsmanager:SecretId"]), [("secretsmanager:SecretId".into(), ARN.into())]);
        assert_eq!(found(&[], &["aws:ResourceAccount"]), [("aws:ResourceAccount".into(), "123456789012".into())]);
    }
}
