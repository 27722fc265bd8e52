//! What IAM is expected to say to reads of secrets.

mod secrets;

use std::collections::HashMap;
use std::sync::Arc;

use super::super::iam::{self, About, Action, Evaluations, ResourcePolicy, Subject};
use super::Shared;
use crate::config::ActsAs;
use crate::provider::{Error, Permission, SecretName};

const READ: Action =
    Action { name: "secretsmanager:GetSecretValue", context: &[("secretsmanager:VersionStage", "AWSCURRENT")] };

pub(super) async fn permissions(
    shared: &Arc<Shared>,
    identity: Option<&ActsAs>,
    names: &[SecretName],
) -> Result<Vec<Permission>, Error> {
    let session = shared.aws.session().await?;
    let subject = match Subject::new(&shared.aws, &session, identity).await? {
        Ok(subject) => subject,
        Err(unknown) => return Ok(vec![unknown; names.len()]),
    };
    let about = secrets::about(shared, names).await;
    let asked: Vec<_> = about.iter().filter_map(|about| about.as_ref().ok()).collect();
    let Some(evaluations) = subject.evaluate(&READ, &asked).await? else {
        return Ok(vec![subject.is_not_known(); names.len()]);
    };
    let policies = policies_that_decide(shared, &evaluations).await;
    Ok(about.iter().map(|about| one(subject.arn(), about, &evaluations, &policies)).collect())
}

/// The secrets' own policies, of those secrets only whose answers hang on them.
async fn policies_that_decide(shared: &Arc<Shared>, evaluations: &Evaluations) -> HashMap<String, ResourcePolicy> {
    let hang = evaluations.values().filter(|it| iam::hangs_on_resource_policy(it));
    let arns: Vec<String> = hang.map(|it| it.resource.clone()).collect();
    let policies = secrets::resource_policies(shared, arns.clone()).await;
    arns.into_iter().zip(policies).collect()
}

fn one(
    principal: &str,
    about: &Result<About, String>,
    evaluations: &Evaluations,
    policies: &HashMap<String, ResourcePolicy>,
) -> Permission {
    let about = match about {
        Ok(about) => about,
        Err(why) => return iam::unknown(principal, why),
    };
    let Some(evaluation) = evaluations.get(&about.arn) else {
        return iam::unknown(principal, "IAM's answer leaves this secret out");
    };
    let not_asked = ResourcePolicy::Unknown("not asked for".into());
    iam::permission(principal, evaluation, policies.get(&about.arn).unwrap_or(&not_asked))
}
