//! What IAM is expected to say to a read: SimulatePrincipalPolicy, asked with the scope's own credentials.
//!
//! Invariants:
//! - no is said only where a read is sure to be refused (see `mapping`);
//! - a scope at an endpoint of its own never leads to real IAM (see `endpoint`).

mod answer;
mod context;
mod endpoint;
mod evaluate;
mod mapping;
mod principal;
mod request;
mod secrets;
mod spread;

use std::sync::Arc;

use aws_config::SdkConfig;

use super::{Shared, whoami};
use crate::config::ActsAs;
use crate::provider::{Error, Permission, SecretName};
use context::Reads;
use evaluate::{Asker, Evaluations};
use mapping::ResourcePolicy;
use principal::Principal;

/// Where a session asks IAM.
#[derive(Clone)]
pub(super) enum Place {
    At(Arc<Iam>),
    /// And why.
    Nowhere(String),
}

pub(super) struct Iam {
    simulate: request::Simulate,
    region: String,
    /// Do reads go over TLS?
    over_tls: bool,
}

impl Place {
    /// `endpoint_url` is the scope's own.
    pub(super) fn of(config: &SdkConfig, endpoint_url: Option<&str>) -> Self {
        let endpoint = match endpoint::iam(config, endpoint_url.is_some()) {
            Ok(endpoint) => endpoint,
            Err(why) => return Self::Nowhere(why),
        };
        let Some(simulate) = request::simulate(config, &endpoint) else {
            return Self::Nowhere("the SDK's configuration is not complete".into());
        };
        let region = config.region().map(ToString::to_string).unwrap_or_default();
        Self::At(Arc::new(Iam { simulate, region, over_tls: endpoint::reads_over_tls(config, endpoint_url) }))
    }
}

pub(super) async fn permissions(
    shared: &Arc<Shared>,
    identity: Option<&ActsAs>,
    names: &[SecretName],
) -> Result<Vec<Permission>, Error> {
    let all_unknown = |of: &str, why: &str| Ok(vec![mapping::unknown(of, why); names.len()]);
    let session = shared.sessions.get(shared).await?;
    let iam = match &session.iam {
        Place::At(iam) => iam,
        Place::Nowhere(why) => return all_unknown(identity.map_or("ourselves", ActsAs::label), why),
    };
    let caller = whoami::remembered(shared, &session).await?;
    let principal = match identity {
        None => principal::ourselves(caller, shared.settings.assume_role.as_ref().map(|role| role.role_arn.as_str())),
        Some(ActsAs::AwsRole(role)) => principal::role(&role.role_arn, caller),
    };
    let principal = match principal {
        Ok(principal) => principal,
        Err(why) => return all_unknown(identity.map_or(caller, ActsAs::label), &why),
    };

    let about = secrets::about(shared, names).await;
    let asked: Vec<_> = about.iter().filter_map(|about| about.as_ref().ok()).collect();
    let reads = Reads { principal: &principal, region: &iam.region, over_tls: iam.over_tls };
    let asker = Asker { shared, session: &session, simulate: &iam.simulate, reads };
    let Some(evaluations) = asker.evaluate(&asked).await? else {
        return all_unknown(&principal.arn, "IAM knows no such user or role; is its path missing?");
    };
    let policies = policies_that_decide(shared, &evaluations).await;
    Ok(about.iter().map(|about| one(&principal, about, &evaluations, &policies)).collect())
}

/// The secrets' own policies, of those secrets only whose answers hang on them.
async fn policies_that_decide(
    shared: &Arc<Shared>,
    evaluations: &Evaluations,
) -> std::collections::HashMap<String, ResourcePolicy> {
    let hang = evaluations.values().filter(|it| mapping::hangs_on_resource_policy(it));
    let arns: Vec<String> = hang.map(|it| it.resource.clone()).collect();
    let policies = secrets::resource_policies(shared, arns.clone()).await;
    arns.into_iter().zip(policies).collect()
}

fn one(
    principal: &Principal,
    about: &Result<super::known::About, String>,
    evaluations: &Evaluations,
    policies: &std::collections::HashMap<String, ResourcePolicy>,
) -> Permission {
    let about = match about {
        Ok(about) => about,
        Err(why) => return mapping::unknown(&principal.arn, why),
    };
    let Some(evaluation) = evaluations.get(&about.arn) else {
        return mapping::unknown(&principal.arn, "IAM's answer leaves this secret out");
    };
    let not_asked = ResourcePolicy::Unknown("not asked for".into());
    mapping::permission(&principal.arn, evaluation, policies.get(&about.arn).unwrap_or(&not_asked))
}
