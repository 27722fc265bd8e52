//! What the server says that we may read.
//!
//! One question is about the whole namespace; where that is not allowed, one is about all rules that count for us.
//! Only where those are not all that there is (a webhook decides besides) is there a question for each name.

use std::collections::BTreeSet;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, ResourceRule, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SelfSubjectRulesReview,
    SelfSubjectRulesReviewSpec,
};
use kube::core::params::PostParams;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::names::ObjectName;
use super::{Shared, error, session};
use crate::provider::rest::{clean, object};
use crate::provider::{Error, ErrorKind, Known, Permission, SecretName};

pub(super) async fn permissions(shared: &Shared, names: &[SecretName]) -> Result<Vec<Permission>, Error> {
    let answer = |read, why: &str| Permission { read, why: why.to_owned() };
    let (resource, namespace) = (shared.resource(), session::usable(shared).await?.namespace().to_owned());
    let all = access(shared, &namespace, None).await?;
    if let (Known::Yes, why) = all {
        return Ok(names.iter().map(|_| answer(Known::Yes, &why)).collect());
    }
    let rules = rules(shared, &namespace).await?;
    let mut answers = Vec::with_capacity(names.len());
    for name in names {
        answers.push(match ObjectName::new(&shared.settings.prefix, name) {
            Err(_) => answer(Known::Unknown, "no object can have this name"),
            Ok(name) if rules.names.contains(name.as_str()) => {
                answer(Known::Yes, &format!("a rule allows get of {resource}/{} by its name", name.as_str()))
            }
            Ok(name) if rules.are_all => {
                let text = format!("no rule allows get of {resource}/{} in namespace {namespace}", name.as_str());
                answer(Known::No, &text)
            }
            Ok(name) => {
                let (read, why) = access(shared, &namespace, Some(&name)).await?;
                Permission { read, why }
            }
        });
    }
    Ok(answers)
}

/// May we get one object, or all of the namespace?
async fn access(shared: &Shared, namespace: &str, name: Option<&ObjectName>) -> Result<(Known, String), Error> {
    let resource = shared.resource();
    let about = match name {
        Some(name) => format!("{resource}/{} in namespace {namespace}", name.as_str()),
        None => format!("{resource} in namespace {namespace}"),
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                namespace: Some(namespace.to_owned()),
                verb: Some("get".into()),
                version: Some("v1".into()),
                resource: Some(resource.into()),
                name: name.map(|name| name.as_str().to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let call = format!("ask whether we may get {about}");
    let answer = review_of(shared, &call, "selfsubjectaccessreviews", &review).await?;
    told(answer, &call, &about)
}

pub(super) fn told(answer: SelfSubjectAccessReview, call: &str, about: &str) -> Result<(Known, String), Error> {
    let status = answer.status.ok_or_else(|| error::not_understood(call))?;
    let read = if status.allowed { Known::Yes } else { Known::No };
    let reason = status.reason.filter(|it| !it.is_empty()).map(|it| format!(": {}", clean(&it))).unwrap_or_default();
    let word = if status.allowed { "allows" } else { "does not allow" };
    Ok((read, format!("the server {word} get of {about}{reason}")))
}

pub(super) struct Rules {
    /// Objects that we may get by their names.
    pub(super) names: BTreeSet<String>,
    /// What no rule says is refused.
    pub(super) are_all: bool,
}

async fn rules(shared: &Shared, namespace: &str) -> Result<Rules, Error> {
    let review = SelfSubjectRulesReview {
        spec: SelfSubjectRulesReviewSpec { namespace: Some(namespace.to_owned()) },
        ..SelfSubjectRulesReview::default()
    };
    let call = format!("ask for our rules in namespace {namespace}");
    let answer: SelfSubjectRulesReview = match review_of(shared, &call, "selfsubjectrulesreviews", &review).await {
        // Each name is asked about then.
        Err(error) if error.kind == ErrorKind::Denied => return Ok(Rules { names: BTreeSet::new(), are_all: false }),
        answer => answer?,
    };
    rules_in(answer, &call, shared.resource())
}

pub(super) fn rules_in(answer: SelfSubjectRulesReview, call: &str, resource: &str) -> Result<Rules, Error> {
    let status = answer.status.ok_or_else(|| error::not_understood(call))?;
    let has = |list: &Option<Vec<String>>, word: &str| list.iter().flatten().any(|it| it == word || it == "*");
    let is_about_us = |rule: &&ResourceRule| {
        has(&Some(rule.verbs.clone()), "get") && has(&rule.api_groups, "") && has(&rule.resources, resource)
    };
    let names = status.resource_rules.iter().filter(is_about_us).filter_map(|rule| rule.resource_names.clone());
    Ok(Rules { names: names.flatten().collect(), are_all: !status.incomplete })
}

async fn review_of<T: Serialize + DeserializeOwned>(
    shared: &Shared,
    call: &str,
    path: &str,
    review: &T,
) -> Result<T, Error> {
    let body = serde_json::to_vec(review).map_err(|_| error::not_understood(call))?;
    let asked = |session: &session::Session| {
        session.at(&format!("/apis/authorization.k8s.io/v1/{path}")).create(&PostParams::default(), body.clone())
    };
    let reply = session::ask(shared, call, asked).await?;
    if !reply.is_success() {
        return Err(error::from_reply(call, &reply));
    }
    object(&reply.body).ok_or_else(|| error::not_understood(call))
}
