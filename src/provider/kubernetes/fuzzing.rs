//! What an API server answers, and what is written about it.

use std::time::Duration;

use k8s_openapi::api::authorization::v1::{SelfSubjectAccessReview, SelfSubjectRulesReview};

use super::cluster::Cluster;
use super::error::from_reply;
use super::object::{Page, whole};
use super::permissions::{rules_in, told};
use super::{Shared, selector, session, watch};
use crate::config::{KubernetesAuth, KubernetesKind, KubernetesSettings};
use crate::fuzzing::{choice, is_told_in_one_line};
use crate::provider::rest::{Reply, object};
use crate::provider::{Error, ErrorKind, Known};

const MAX: u64 = 4096;

/// Nothing that is answered does harm, and no object is larger than is allowed.
pub fn kubernetes(bytes: &[u8]) {
    let (first, body) = choice(bytes);
    let kind = if first & 1 == 0 { KubernetesKind::Secrets } else { KubernetesKind::ConfigMaps };
    if let Some(object) = is_told_in_one_line(whole(&shared(kind), "get", "db", body)) {
        assert!(object.keys.iter().map(|(_, value)| value.len() as u64).sum::<u64>() <= MAX);
        assert!(object.keys.is_sorted_by(|(a, _), (b, _)| a <= b));
        let _ = object.metadata.changed();
    }
    if let Some(page) = is_told_in_one_line(Page::parse("list", body)) {
        let _: usize = page.items().iter().map(|item| item.metadata.text()).sum();
    }
    let _ = is_told_in_one_line(watch::Event::parse("watch", body));
    reviews(body);
    let status = [400, 401, 403, 404, 410, 429, 500, 302][usize::from(first % 8)];
    let reply = Reply::saying(status, body);
    let _ = is_told_in_one_line::<()>(Err(from_reply("get", &reply)));
    let _ = is_told_in_one_line(Cluster::default().bear(body));
    if let Ok(text) = std::str::from_utf8(body) {
        let _ = is_told_in_one_line(selector::parse(text));
    }
}

/// What is not said to be allowed is not, and rules are all that there are only where that is said.
fn reviews(body: &[u8]) {
    if let Some(review) = object::<SelfSubjectAccessReview>(body) {
        let is_allowed = review.status.as_ref().is_some_and(|status| status.allowed);
        let answer = is_told_in_one_line(told(review, "ask", "secrets"));
        assert_eq!(answer.as_ref().is_some_and(|(read, _)| *read == Known::Yes), is_allowed);
        let _ = is_told_in_one_line(answer.map_or(Ok(()), |(_, why)| Err(Error::new(ErrorKind::Denied, why))));
    }
    if let Some(review) = object::<SelfSubjectRulesReview>(body) {
        let are_all = review.status.as_ref().is_some_and(|status| !status.incomplete);
        let rules = is_told_in_one_line(rules_in(review, "ask", "secrets"));
        assert_eq!(rules.is_some_and(|rules| rules.are_all), are_all);
    }
}

fn shared(kind: KubernetesKind) -> Shared {
    let settings = KubernetesSettings {
        namespace: None,
        kind,
        labels: None,
        prefix: String::new(),
        endpoint_url: None,
        ca_file: None,
        auth: KubernetesAuth::Default,
    };
    Shared {
        settings,
        impersonated: None,
        selector: Default::default(),
        connections: std::sync::Arc::default(),
        deadline: Duration::from_secs(1),
        max_secret_bytes: MAX,
        sessions: session::Sessions::default(),
        watched: tokio::sync::Mutex::default(),
    }
}
