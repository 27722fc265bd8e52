//! Every secret of a scope.

use azure_security_keyvault_secrets::models::{SecretClientListSecretPropertiesOptions, SecretProperties};
use futures_util::TryStreamExt as _;

use super::{Shared, names, properties, session};
use crate::provider::rest::clean;
use crate::provider::{Error, ErrorKind, Listed, Listing, SecretName};

/// As many as the service gives at a time.
pub(super) const PAGE: i32 = 25;
/// More than a listing can have in any timeout; one that does not end is a broken one.
pub(super) const MOST_PAGES: usize = 10_000;

pub(super) async fn list(shared: &Shared) -> Result<Listing, Error> {
    let call = "GetSecrets";
    let found = session::ask(shared, call, |session| async move {
        let options = SecretClientListSecretPropertiesOptions { maxresults: Some(PAGE), ..Default::default() };
        let mut pages = session.client.list_secret_properties(Some(options))?.into_pages();
        let mut found = Vec::new();
        for _ in 0..MOST_PAGES {
            match pages.try_next().await? {
                Some(page) => found.extend(page.into_model()?.value),
                None => return Ok(Some(found)),
            }
        }
        Ok(None)
    });
    let found = found.await?.ok_or_else(|| endless(call))?;
    let mut listing = Listing::default();
    let mut spellings = Vec::with_capacity(found.len());
    for secret in found {
        if let Some(name) = add(&secret, &shared.settings.prefix, &mut listing) {
            spellings.push(name);
        }
    }
    shared.spellings.replace(spellings.into_iter());
    Ok(listing)
}

/// The secret's whole name, if it has one.
fn add(secret: &SecretProperties, prefix: &str, listing: &mut Listing) -> Option<String> {
    let id = secret.id.as_deref().unwrap_or_default();
    let Some((full, _)) = names::parts(id) else {
        listing.left_out.push((clean(id), "its id is not that of a secret".into()));
        return None;
    };
    let name = full.strip_prefix(prefix)?;
    match SecretName::new(name) {
        Some(name) => {
            let changed = properties::created(secret.attributes.as_ref());
            listing.secrets.push(Listed { name, changed });
        }
        None => listing.left_out.push((full.clone(), "its name is the scope's prefix and nothing more".into())),
    }
    Some(full)
}

pub(super) fn endless(call: &str) -> Error {
    Error::new(ErrorKind::Malformed, format!("{call}: the listing does not end"))
}
