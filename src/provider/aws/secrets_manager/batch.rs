//! Many reads at once as one BatchGetSecretValue.

use aws_sdk_secretsmanager::types::{ApiErrorType, SecretValueEntry};

use super::super::batch::{Batched, Batches};
use super::super::error;
use super::Shared;
use super::fetch::{self, Value};
use super::names::FullName;
use crate::provider::{Answer, Error, Fetched};

/// For each name, in their order.
type Answers = Vec<Option<Result<Fetched, Error>>>;

impl Batched for Shared {
    type Name = FullName;
    const MOST: usize = 20;

    fn batches(&self) -> &Batches<FullName> {
        &self.batches
    }

    fn alone<'a>(&'a self, name: &'a FullName) -> Answer<'a, Fetched> {
        Box::pin(fetch::current(self, name))
    }

    fn together<'a>(&'a self, names: &'a [FullName]) -> Answer<'a, Answers> {
        Box::pin(together(self, names))
    }
}

async fn together(shared: &Shared, names: &[FullName]) -> Result<Answers, Error> {
    let call = format!("BatchGetSecretValue of {} secrets", names.len());
    let ids = names.iter().map(|name| name.as_str().to_owned()).collect();
    let session = shared.aws.session().await?;
    let request = session.client.batch_get_secret_value().set_secret_id_list(Some(ids));
    let answer = request.send().await.map_err(|error| shared.aws.failed(&session, &call, &error))?;
    let mut answers: Answers = names.iter().map(|_| None).collect();
    take_values(shared, names, &mut answers, answer.secret_values.unwrap_or_default());
    take_errors(names, &mut answers, answer.errors.unwrap_or_default());
    Ok(answers)
}

fn call(name: &FullName) -> String {
    format!("BatchGetSecretValue of `{name}`")
}

/// The first of `names` that is meant and has no answer yet.
fn place(names: &[FullName], answers: &Answers, is_meant: impl Fn(&str) -> bool) -> Option<usize> {
    let mut both = names.iter().zip(answers);
    both.position(|(name, answer)| answer.is_none() && is_meant(name.as_str()))
}

fn take_values(shared: &Shared, names: &[FullName], answers: &mut Answers, values: Vec<SecretValueEntry>) {
    for value in values {
        let Some(at) = place(names, answers, |name| value.name() == Some(name)) else { continue };
        if let (Some(name), Some(answer)) = (names.get(at), answers.get_mut(at)) {
            *answer = Some(Value::from(value).fetched(shared, name, &call(name)));
        }
    }
}

/// An error names its secret as we did, or by its ARN.
fn take_errors(names: &[FullName], answers: &mut Answers, errors: Vec<ApiErrorType>) {
    for item in errors {
        let Some(id) = item.secret_id() else { continue };
        let Some(at) = place(names, answers, |name| names_secret(id, name)) else { continue };
        if let (Some(name), Some(answer)) = (names.get(at), answers.get_mut(at)) {
            *answer = Some(Err(error::from_batch_item(&call(name), item.error_code(), item.message())));
        }
    }
}

/// Is `id` the name, or an ARN of it (which ends in a hyphen and six characters)?
fn names_secret(id: &str, name: &str) -> bool {
    let in_arn = || id.starts_with("arn:").then(|| id.rsplit(':').next()).flatten();
    id == name
        || in_arn().is_some_and(|resource| {
            resource == name || resource.strip_prefix(name).is_some_and(|rest| rest.len() == 7 && rest.starts_with('-'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_matched_to_its_secret_and_no_other() {
        let arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/db-AbCdEf";
        assert!(names_secret("prod/db", "prod/db"));
        assert!(names_secret(arn, "prod/db"));
        assert!(!names_secret(arn, "prod/d"));
        assert!(!names_secret("prod/db", "db"));
    }
}
