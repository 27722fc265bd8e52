//! What IAM is expected to say to a read: SimulatePrincipalPolicy, asked with the scope's own credentials.
//!
//! Invariants:
//! - no is said only where a read is sure to be refused (see `mapping`);
//! - a scope at an endpoint of its own never leads to real IAM (see `endpoint`).

mod answer;
mod context;
mod endpoint;
mod evaluate;
#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
mod mapping;
mod principal;
mod request;

use std::sync::Arc;

use aws_config::SdkConfig;

use super::connection::{Connection, Service};
use super::session::Session;
use super::whoami;
use crate::config::ActsAs;
use crate::provider::{Error, Permission, says_nothing_of};
use context::Reads;
use evaluate::Asker;
pub(super) use evaluate::Evaluations;
pub(super) use mapping::{ResourcePolicy, hangs_on_resource_policy, permission, unknown};
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
    pub(super) fn of<S: Service>(config: &SdkConfig, endpoint_url: Option<&str>) -> Self {
        let endpoint = match endpoint::iam(config, endpoint_url.is_some()) {
            Ok(endpoint) => endpoint,
            Err(why) => return Self::Nowhere(why),
        };
        let Some(simulate) = request::simulate(config, &endpoint) else {
            return Self::Nowhere("the SDK's configuration is not complete".into());
        };
        let region = config.region().map(ToString::to_string).unwrap_or_default();
        Self::At(Arc::new(Iam { simulate, region, over_tls: endpoint::reads_over_tls(config, S::ID, endpoint_url) }))
    }
}

/// What a read does, as policies name it.
#[derive(Debug)]
pub(super) struct Action {
    /// `service:Operation`
    pub(super) name: &'static str,
    /// Condition keys that have the same value in each such read.
    pub(super) context: &'static [(&'static str, &'static str)],
}

/// What policies may ask of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct About {
    /// Never empty.
    pub(super) arn: String,
    pub(super) tags: Vec<(String, String)>,
}

/// Somebody whom IAM can be asked about, and the session to ask with.
pub(super) struct Subject<'a, S: Service> {
    connection: &'a Connection<S>,
    session: &'a Session<S>,
    iam: &'a Iam,
    principal: Principal,
}

impl<'a, S: Service> Subject<'a, S> {
    /// None is the scope's own identity. Where IAM cannot be asked, what is to be said of each resource.
    pub(super) async fn new(
        connection: &'a Connection<S>,
        session: &'a Session<S>,
        identity: Option<&ActsAs>,
    ) -> Result<Result<Self, Permission>, Error> {
        let iam = match &session.iam {
            Place::At(iam) => iam,
            Place::Nowhere(why) => return Ok(Err(unknown(identity.map_or("ourselves", ActsAs::label), why))),
        };
        let caller = whoami::remembered(connection, session).await?;
        let principal = match identity {
            None => {
                let taken_on = connection.settings.assume_role.as_ref().map(|role| role.role_arn.as_str());
                principal::ourselves(caller, taken_on)
            }
            Some(ActsAs::AwsRole(role)) => principal::role(&role.role_arn, caller),
            Some(
                other @ (ActsAs::GcpServiceAccount(_) | ActsAs::VaultRole(_) | ActsAs::KubernetesServiceAccount(_)),
            ) => {
                return Err(says_nothing_of(other, "AWS"));
            }
        };
        Ok(match principal {
            Ok(principal) => Ok(Self { connection, session, iam, principal }),
            Err(why) => Err(unknown(identity.map_or(caller, ActsAs::label), &why)),
        })
    }

    /// As policies know it.
    pub(super) fn arn(&self) -> &str {
        &self.principal.arn
    }

    /// The ARN of something in its account and in the scope's region.
    pub(super) fn resource_arn(&self, service: &str, resource: &str) -> String {
        let Principal { arn, account, .. } = &self.principal;
        let partition = arn.split(':').nth(1).unwrap_or_default();
        format!("arn:{partition}:{service}:{}:{account}:{resource}", self.iam.region)
    }

    /// What IAM says to `action` on each of `resources`; None where it knows no such user or role.
    pub(super) async fn evaluate(&self, action: &Action, resources: &[&About]) -> Result<Option<Evaluations>, Error> {
        let Self { connection, session, iam, principal } = self;
        let reads = Reads { principal, region: &iam.region, over_tls: iam.over_tls };
        Asker { connection, session, simulate: &iam.simulate, reads, action }.evaluate(resources).await
    }

    /// What is to be said of each resource where it knows none.
    pub(super) fn is_not_known(&self) -> Permission {
        unknown(self.arn(), "IAM knows no such user or role; is its path missing?")
    }
}
