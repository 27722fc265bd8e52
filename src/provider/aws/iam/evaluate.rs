//! IAM's opinion of many secrets, in few questions.
//!
//! The context of a question holds for all its resources. So the first round has what reads have in common,
//! up to [`MOST`] secrets a question. Where policies ask for more (a tag, the secret itself), IAM names the
//! keys; a second round asks again about those secrets that these keys are known of, those with the same
//! values together.
//!
//! What IAM says of all resources of a question together is the strictest that any of them has: it counts
//! for a question about one secret only.

use std::collections::{BTreeMap, HashMap};

use super::super::connection::{Connection, Service};
use super::super::session::Session;
use super::answer::Evaluation;
use super::context::{Entry, Reads};
use super::request::{Question, Simulate};
use super::{About, Action};
use crate::provider::text::clean;
use crate::provider::{Error, ErrorKind};

/// Secrets in a question.
const MOST: usize = 100;

/// Secrets that are asked about alone because an answer about many left them out. IAM leaves none out; an
/// emulator may.
const MOST_ALONE: usize = 100;

/// Pages in an answer to one: IAM gives a hundred results at a time, but may give fewer.
const MOST_PAGES: usize = 20;

/// By ARN. What is not in it has no answer.
pub(in super::super) type Evaluations = HashMap<String, Evaluation>;

pub(super) struct Asker<'a, S: Service> {
    pub(super) connection: &'a Connection<S>,
    pub(super) session: &'a Session<S>,
    pub(super) simulate: &'a Simulate,
    pub(super) reads: Reads<'a>,
    pub(super) action: &'a Action,
}

impl<S: Service> Asker<'_, S> {
    /// None where IAM knows no such principal.
    pub(super) async fn evaluate(&self, secrets: &[&About]) -> Result<Option<Evaluations>, Error> {
        let Some(mut all) = self.ask(secrets, &[]).await? else { return Ok(None) };
        let left_out: Vec<&About> = secrets.iter().filter(|it| !all.contains_key(&it.arn)).copied().collect();
        if secrets.len() > 1 {
            for secret in left_out.into_iter().take(MOST_ALONE) {
                all.extend(self.ask(&[secret], &[]).await?.unwrap_or_default());
            }
        }
        let mut again: BTreeMap<Vec<Entry>, Vec<&About>> = BTreeMap::new();
        for secret in secrets {
            let missing = all.get(&secret.arn).map(|it| it.missing.as_slice()).unwrap_or_default();
            let entries = self.reads.of_secret(secret, missing);
            if !entries.is_empty() {
                again.entry(entries).or_default().push(secret);
            }
        }
        for (entries, secrets) in again {
            // The first answer lacked what the second has.
            for secret in &secrets {
                all.remove(&secret.arn);
            }
            all.extend(self.ask(&secrets, &entries).await?.unwrap_or_default());
        }
        Ok(Some(all))
    }

    async fn ask(&self, secrets: &[&About], more: &[Entry]) -> Result<Option<Evaluations>, Error> {
        let mut all = Evaluations::new();
        let mut arns: Vec<&str> = secrets.iter().map(|secret| secret.arn.as_str()).collect();
        arns.sort_unstable();
        arns.dedup();
        for arns in arns.chunks(MOST) {
            let mut question = Question {
                principal: self.reads.principal.arn.clone(),
                action: self.action.name,
                resources: arns.iter().map(|arn| (*arn).to_owned()).collect(),
                context: self.reads.common(self.action).into_iter().chain(more.iter().cloned()).collect(),
                marker: None,
            };
            for _ in 0..MOST_PAGES {
                let Some(page) = self.page(question.clone()).await? else { return Ok(None) };
                let alone = if arns.len() == 1 { page.together } else { Vec::new() };
                for evaluation in page.results.into_iter().chain(alone) {
                    if arns.contains(&evaluation.resource.as_str()) {
                        add(&mut all, evaluation);
                    }
                }
                if page.marker.is_none() || page.marker == question.marker {
                    break;
                }
                question.marker = page.marker;
            }
        }
        Ok(Some(all))
    }

    async fn page(&self, question: Question) -> Result<Option<super::answer::Page>, Error> {
        let principal = clean(&question.principal);
        let error = match self.simulate.invoke(question).await {
            Ok(page) => return Ok(Some(page)),
            Err(error) => error,
        };
        if error.as_service_error().and_then(|it| it.code()) == Some("NoSuchEntity") {
            return Ok(None);
        }
        let call = format!("iam:SimulatePrincipalPolicy of {principal}");
        let mut error = self.connection.failed(self.session, &call, &error);
        if error.kind == ErrorKind::Denied {
            error.detail.push_str(&format!(
                "; for permission bits that show what IAM allows, allow iam:SimulatePrincipalPolicy on {principal}"
            ));
        }
        Err(error)
    }
}

/// Should IAM answer about a resource twice and differently, neither counts.
fn add(all: &mut Evaluations, evaluation: Evaluation) {
    let Some(known) = all.get_mut(&evaluation.resource) else {
        all.insert(evaluation.resource.clone(), evaluation);
        return;
    };
    if known.decision != evaluation.decision {
        known.decision = format!("both {} and {}", known.decision, evaluation.decision);
    }
    let merge = |into: &mut Vec<String>, more: Vec<String>| {
        for text in more {
            if !into.contains(&text) {
                into.push(text);
            }
        }
    };
    merge(&mut known.missing, evaluation.missing);
    merge(&mut known.policies, evaluation.policies);
    known.refused_by_boundary |= evaluation.refused_by_boundary;
    known.refused_by_organization |= evaluation.refused_by_organization;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation(decision: &str, missing: &[&str]) -> Evaluation {
        let missing = missing.iter().map(|key| (*key).to_owned()).collect();
        Evaluation { resource: "arn:x".into(), decision: decision.into(), missing, ..Evaluation::default() }
    }

    #[test]
    fn two_answers_about_one_secret_count_only_where_they_agree() {
        let mut all = Evaluations::new();
        add(&mut all, evaluation("explicitDeny", &[]));
        add(&mut all, evaluation("explicitDeny", &["aws:SourceIp"]));
        assert_eq!(all["arn:x"], evaluation("explicitDeny", &["aws:SourceIp"]));
        add(&mut all, evaluation("allowed", &["aws:SourceIp"]));
        assert_eq!(all["arn:x"].decision, "both explicitDeny and allowed");
    }
}
