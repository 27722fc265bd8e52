//! One version of one secret.

use azure_security_keyvault_secrets::models::{Secret as Answer, SecretClientGetSecretOptions};

use super::names::{self, KeyName};
use super::{Shared, error, properties, session, versions};
use crate::provider::rest::clean;
use crate::provider::{Error, ErrorKind, Fetched, Payload, SecretName, VersionSelector};
use crate::secret::Secret;

pub(super) async fn fetch(shared: &Shared, name: &SecretName, version: &VersionSelector) -> Result<Fetched, Error> {
    let name = KeyName::new(&shared.settings.prefix, name)?;
    shared.spellings.check(&name)?;
    match version {
        VersionSelector::Current => get(shared, &name, None).await,
        VersionSelector::Previous => versions::previous(shared, &name).await,
        VersionSelector::Named(id) if names::is_possible_version(id) => get(shared, &name, Some(id)).await,
        VersionSelector::Named(text) => Err(Error::new(
            ErrorKind::NotFound,
            format!("`{}` has no version `{}`: versions are 32 hexadecimal digits", name.as_str(), clean(text)),
        )),
    }
}

/// GetSecret; `version` is one that [`names::is_possible_version`], or None for the current one.
pub(super) async fn get(shared: &Shared, name: &KeyName, version: Option<&str>) -> Result<Fetched, Error> {
    let call = match version {
        Some(version) => format!("GetSecret of `{}`, version `{version}`", name.as_str()),
        None => format!("GetSecret of `{}`", name.as_str()),
    };
    let answer = session::ask(shared, &call, |session| {
        let (name, secret_version) = (name.as_str().to_owned(), version.map(str::to_owned));
        async move {
            let options = SecretClientGetSecretOptions { secret_version, ..Default::default() };
            session.client.get_secret(&name, Some(options)).await?.into_model()
        }
    });
    take(shared, &call, name, version, answer.await?)
}

/// Checks the answer and takes the value over.
fn take(shared: &Shared, call: &str, name: &KeyName, asked: Option<&str>, answer: Answer) -> Result<Fetched, Error> {
    let Answer { attributes, content_type, id, tags, value, .. } = answer;
    // Taken over first, so that it is wiped whatever comes.
    let raw = value.map(|value| Secret::from_vec(value.into_bytes())).transpose()?;
    let Some((of, Some(version))) = id.as_deref().and_then(names::parts) else {
        return Err(error::not_understood(call));
    };
    if !of.eq_ignore_ascii_case(name.as_str()) || asked.is_some_and(|asked| !asked.eq_ignore_ascii_case(&version)) {
        return Err(error::not_understood(call));
    }
    name.is_called(&of)?;
    let raw = raw.ok_or_else(|| error::not_understood(call))?;
    if raw.len() as u64 > shared.max_secret_bytes {
        let (length, most) = (raw.len(), shared.max_secret_bytes);
        let text = format!("{call}: the value has {length} bytes, more than max_secret_bytes = {most}");
        return Err(Error::new(ErrorKind::TooLarge, text));
    }
    Ok(Fetched {
        payload: Payload { raw, keys: None },
        version,
        created: properties::created(attributes.as_ref()),
        source: format!("{}/secrets/{}", shared.vault.url(), name.as_str()),
        tags: properties::tags(tags, content_type, attributes.as_ref()),
        lease: None,
    })
}
