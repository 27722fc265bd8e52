//! The secrets that IAM is asked about: by their ARNs, which policies are written for.

use std::sync::Arc;

use super::super::super::spread::spread;
use super::super::names::FullName;
use super::super::{Shared, known};
use super::{About, ResourcePolicy};
use crate::provider::text::clean;
use crate::provider::{Error, ErrorKind, SecretName};

/// Each secret's ARN and tags, or why they cannot be had.
pub(super) async fn about(shared: &Arc<Shared>, names: &[SecretName]) -> Vec<Result<About, String>> {
    let names = names.to_vec();
    let answers = spread(names, |name| {
        let shared = Arc::clone(shared);
        async move { one(&shared, &name).await }
    });
    let lost = || Err("the question was given up".to_owned());
    answers.await.into_iter().map(|answer| answer.unwrap_or_else(lost)).collect()
}

async fn one(shared: &Shared, name: &SecretName) -> Result<About, String> {
    let name = FullName::new(&shared.prefix, name).map_err(|error| error.detail)?;
    if let Some(about) = shared.known.of(name.as_str()) {
        return Ok(about);
    }
    let about = describe(shared, &name).await.map_err(|error| format!("its ARN is not known: {error}"))?;
    shared.known.remember(name.as_str(), Some(about.clone()));
    Ok(about)
}

async fn describe(shared: &Shared, name: &FullName) -> Result<About, Error> {
    let call = format!("DescribeSecret of `{}`", name.as_str());
    let session = shared.aws.session().await?;
    let answer = session.client.describe_secret().secret_id(name.as_str()).send().await;
    let answer = answer.map_err(|error| shared.aws.failed(&session, &call, &error))?;
    if answer.deleted_date.is_some() {
        return Err(Error::new(ErrorKind::NotFound, format!("{call}: it is scheduled for deletion")));
    }
    known::about(answer.arn, answer.tags)
        .ok_or_else(|| Error::new(ErrorKind::Malformed, format!("{call}: the answer has no ARN")))
}

/// Have these secrets policies of their own?
pub(super) async fn resource_policies(shared: &Arc<Shared>, arns: Vec<String>) -> Vec<ResourcePolicy> {
    let answers = spread(arns, |arn| {
        let shared = Arc::clone(shared);
        async move { resource_policy(&shared, &arn).await }
    });
    let lost = || ResourcePolicy::Unknown("the question was given up".into());
    answers.await.into_iter().map(|answer| answer.unwrap_or_else(lost)).collect()
}

async fn resource_policy(shared: &Shared, arn: &str) -> ResourcePolicy {
    let call = format!("GetResourcePolicy of {}", clean(arn));
    let ask = async {
        let session = shared.aws.session().await?;
        let answer = session.client.get_resource_policy().secret_id(arn).send().await;
        answer.map_err(|error| shared.aws.failed(&session, &call, &error))
    };
    match ask.await {
        // An answer about another secret says nothing about this one.
        Ok(answer) if answer.arn() != Some(arn) => ResourcePolicy::Unknown(format!("{call}: another secret's answer")),
        Ok(answer) if answer.resource_policy().is_none_or(|policy| policy.trim().is_empty()) => ResourcePolicy::None,
        Ok(_) => ResourcePolicy::There,
        Err(error) => ResourcePolicy::Unknown(error.detail),
    }
}
