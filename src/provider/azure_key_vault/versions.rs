//! The versions of a secret, without their values.

use std::time::SystemTime;

use azure_security_keyvault_secrets::models::SecretClientListSecretPropertiesVersionsOptions;
use futures_util::TryStreamExt as _;

use super::list::{MOST_PAGES, PAGE, endless};
use super::names::{self, KeyName};
use super::{Shared, error, fetch, properties, session};
use crate::provider::{Error, ErrorKind, Fetched};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) id: String,
    /// To the second.
    pub(super) created: Option<SystemTime>,
    enabled: bool,
}

/// In no order. Of a secret that is not there a vault lists no versions, or says so.
pub(super) async fn versions(shared: &Shared, name: &KeyName) -> Result<Vec<Version>, Error> {
    let call = format!("GetSecretVersions of `{}`", name.as_str());
    let found = session::ask(shared, &call, |session| {
        let name = name.as_str().to_owned();
        async move {
            let options =
                SecretClientListSecretPropertiesVersionsOptions { maxresults: Some(PAGE), ..Default::default() };
            let pages = session.client.list_secret_properties_versions(&name, Some(options))?;
            let mut pages = pages.into_pages();
            let mut found = Vec::new();
            for _ in 0..MOST_PAGES {
                match pages.try_next().await? {
                    Some(page) => found.extend(page.into_model()?.value),
                    None => return Ok(Some(found)),
                }
            }
            Ok(None)
        }
    });
    let found = found.await?.ok_or_else(|| endless(&call))?;
    let mut versions = Vec::with_capacity(found.len());
    for version in found {
        let Some((of, Some(id))) = version.id.as_deref().and_then(names::parts) else {
            return Err(error::not_understood(&call));
        };
        name.is_called(&of)?;
        let attributes = version.attributes.as_ref();
        let enabled = attributes.and_then(|it| it.enabled).unwrap_or(true);
        versions.push(Version { id, created: properties::created(attributes), enabled });
    }
    Ok(versions)
}

pub(super) fn newest(versions: &[Version]) -> Option<SystemTime> {
    versions.iter().filter_map(|version| version.created).max()
}

/// The newest enabled version of those before the current one.
pub(super) async fn previous(shared: &Shared, name: &KeyName) -> Result<Fetched, Error> {
    let versions = versions(shared, name).await?;
    let latest = newest(&versions);
    let mut latest_ones = versions.iter().filter(|version| version.created == latest);
    let current = match (latest_ones.next(), latest_ones.next()) {
        (None, _) => return Err(none(name)),
        (Some(only), None) => only.id.clone(),
        // Made within one second: the vault itself knows which came last.
        (Some(_), Some(_)) => fetch::get(shared, name, None).await?.version,
    };
    match before(&versions, &current) {
        Some(version) => fetch::get(shared, name, Some(version)).await,
        None => Err(none(name)),
    }
}

fn before<'a>(versions: &'a [Version], current: &str) -> Option<&'a str> {
    let others = versions.iter().filter(|version| version.enabled && version.id != current);
    others.max_by_key(|version| version.created).map(|version| version.id.as_str())
}

fn none(name: &KeyName) -> Error {
    let text = format!("`{}` has no enabled version before the current one", name.as_str());
    Error::new(ErrorKind::NotFound, text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_version_before_is_the_newest_that_is_enabled_and_not_the_current() {
        let version = |id: &str, second: u64, enabled| Version {
            id: id.into(),
            created: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(second)),
            enabled,
        };
        let all = [version("b", 2, true), version("d", 4, true), version("a", 1, true), version("c", 3, false)];
        assert_eq!(before(&all, "d"), Some("b"));
        assert_eq!(before(&all[1..2], "d"), None);
        let tie = [version("x", 4, true), version("y", 4, true)];
        assert_eq!((before(&tie, "x"), before(&tie, "y")), (Some("y"), Some("x")));
    }
}
