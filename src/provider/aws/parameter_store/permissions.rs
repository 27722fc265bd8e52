//! What IAM is expected to say to reads of parameters.
//!
//! Reading a directory is judged by its path, whatever single parameters in it are allowed to whom: so AWS does it.

use std::collections::HashMap;
use std::sync::Arc;

use super::known::{Own, Shape};
use super::names::FullName;
use super::{Api, Shared, look, reference};
use crate::config::ActsAs;
use crate::provider::aws::iam::{self, About, Action, Evaluations, ResourcePolicy, Subject};
use crate::provider::aws::spread::spread;
use crate::provider::{Error, Known, Permission, SecretName};

const BY_PATH: Action = Action { name: "ssm:GetParametersByPath", context: &[("ssm:Recursive", "false")] };
const BY_NAME: Action = Action { name: "ssm:GetParameter", context: &[] };

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
    let reads = reads(shared, &subject, names).await;
    let all = || reads.iter().filter_map(|reads| reads.as_ref().ok()).flatten();
    let asked = |action: &str| -> Vec<&About> {
        all().filter(|read| read.action.name == action).map(|read| &read.resource).collect()
    };
    let mut answers: HashMap<&str, Evaluations> = HashMap::new();
    for action in [&BY_PATH, &BY_NAME] {
        let resources = asked(action.name);
        if resources.is_empty() {
            continue;
        }
        let Some(evaluations) = subject.evaluate(action, &resources).await? else {
            return Ok(vec![subject.is_not_known(); names.len()]);
        };
        answers.insert(action.name, evaluations);
    }
    let one = |reads: &Result<Vec<Read>, String>| match reads {
        Err(why) => iam::unknown(subject.arn(), why),
        Ok(reads) => together(reads.iter().map(|read| judge(subject.arn(), read, &answers)))
            .unwrap_or_else(|| iam::unknown(subject.arn(), "there is no such parameter")),
    };
    Ok(reads.iter().map(one).collect())
}

/// One call that a fetch makes.
struct Read {
    action: &'static Action,
    resource: About,
    policy: ResourcePolicy,
}

/// The calls that each fetch would make, or why that is not known.
async fn reads(
    shared: &Arc<Shared>,
    subject: &Subject<'_, Api>,
    names: &[SecretName],
) -> Vec<Result<Vec<Read>, String>> {
    let shapes = spread(names.to_vec(), |name| {
        let shared = Arc::clone(shared);
        async move { shape(&shared, &name).await }
    });
    let lost = || Err("the question was given up".to_owned());
    let shapes = shapes.await.into_iter().map(|shape| shape.unwrap_or_else(lost));
    let of = |(full, shape): (FullName, Shape)| {
        let resource = |name: &str| About {
            arn: subject.resource_arn("ssm", &format!("parameter/{}", name.trim_start_matches('/'))),
            tags: Vec::new(),
        };
        let directory = shape.directory.then(|| Read {
            action: &BY_PATH,
            resource: resource(full.as_str()),
            policy: ResourcePolicy::None,
        });
        let own = shape.own.map(|Own { name, is_standard }| Read {
            action: &BY_NAME,
            resource: resource(&name.0),
            policy: if is_standard {
                ResourcePolicy::None
            } else {
                ResourcePolicy::Unknown("parameters that are not of the standard tier can have one".into())
            },
        });
        directory.into_iter().chain(own).collect()
    };
    shapes.map(|shape| shape.map(of)).collect()
}

async fn shape(shared: &Shared, name: &SecretName) -> Result<(FullName, Shape), String> {
    let full = FullName::new(&shared.path, name).map_err(|error| error.detail)?;
    if reference::refuse_to_list(&shared.path).is_err() {
        return Err("what is below /aws/ is not predicted".into());
    }
    if !full.is_top {
        return Ok((full, Shape { own: None, directory: true }));
    }
    if let Some(shape) = shared.known.of(name.as_str()) {
        return Ok((full, shape));
    }
    look::look(shared, name).await.map_err(|error| format!("what it is made of is not known: {error}"))?;
    let shape = shared.known.of(name.as_str());
    shape.map(|shape| (full, shape)).ok_or_else(|| "what it is made of is not known".into())
}

fn judge(principal: &str, read: &Read, answers: &HashMap<&str, Evaluations>) -> Permission {
    match answers.get(read.action.name).and_then(|answers| answers.get(&read.resource.arn)) {
        Some(evaluation) => iam::permission(principal, evaluation, &read.policy),
        None => iam::unknown(principal, "IAM's answer leaves this parameter out"),
    }
}

/// A fetch needs all of its calls: the first no decides, else what is not known. None where there are none.
fn together(permissions: impl Iterator<Item = Permission>) -> Option<Permission> {
    let rank = |known| match known {
        Known::No => 0,
        Known::Unknown => 1,
        Known::Yes => 2,
    };
    permissions.min_by_key(|permission| rank(permission.read))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetch_of_two_calls_is_allowed_where_both_are_and_refused_where_one_is() {
        let both = |one, other| {
            let permission = |read| Permission { read, why: String::new() };
            together([permission(one), permission(other)].into_iter()).unwrap().read
        };
        assert_eq!(both(Known::Yes, Known::Yes), Known::Yes);
        assert_eq!(both(Known::Yes, Known::No), Known::No);
        assert_eq!(both(Known::Unknown, Known::No), Known::No);
        assert_eq!(both(Known::Yes, Known::Unknown), Known::Unknown);
        assert!(together(std::iter::empty()).is_none());
    }
}
