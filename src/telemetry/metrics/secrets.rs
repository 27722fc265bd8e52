//! With `names = true`: each secret in memory by its name.

use std::collections::BTreeMap;

use super::family::{Family, Labels, Value, gauge};
use super::scopes::{labels, since_1970};
use crate::cache::{Good, ValueKey};
use crate::provider::{Identity, VersionSelector};
use crate::tree::{Document, Namespace};

/// As many secrets are named, so that Prometheus is not drowned in series. The first by name, so that it is always
/// the same ones.
const MOST: usize = 1000;

pub fn families(namespace: &Namespace, values: &[(ValueKey, Good<Document>)]) -> Vec<Family> {
    let sources = namespace.sources();
    let mut current: BTreeMap<Labels, (Identity, &Good<Document>)> = BTreeMap::new();
    for (key, good) in values.iter().filter(|(key, _)| key.version == VersionSelector::Current) {
        let mut labels = labels(&key.at.scope, sources.label(key.at.identity));
        labels.push(("secret", key.at.path.as_str().to_owned()));
        // Of the same secret as several users of one identity the youngest.
        let known = current.entry(labels).or_insert((key.at.identity, good));
        if good.fetched > known.1.fetched {
            *known = (key.at.identity, good);
        }
    }
    let left_out = current.len().saturating_sub(MOST);
    let mut age = Family::new("hushfs_secret_age", "How long ago the value in memory was fetched").seconds();
    let mut created = Family::new(
        "hushfs_secret_version_created_timestamp",
        "When the version in memory was made at the provider, since 1970, where it says so",
    )
    .seconds();
    for (labels, (_, good)) in current.into_iter().take(MOST) {
        if let Some(time) = good.value.created {
            created.add(labels.clone(), Value::Gauge(since_1970(time)));
        }
        age.add(labels, Value::Gauge(namespace.memory().age(good).as_secs_f64()));
    }
    vec![
        age,
        created,
        Family::new("hushfs_secrets_left_out", "Secrets in memory that are not named here because there are too many")
            .only(gauge(left_out)),
    ]
}
