//! From a scope's settings to its provider.

use std::sync::Arc;

use super::{Error, Provider};
#[cfg(any(feature = "local", feature = "aws"))]
use crate::config::ProviderSettings;
use crate::config::Scope;

/// Makes the provider of a scope. Reaches no network and reads no secret: the mount comes up without
/// either, and what is wrong shows when a secret is asked for.
pub fn build(scope: &Scope) -> Result<Arc<dyn Provider>, Error> {
    match &scope.provider {
        #[cfg(feature = "local")]
        ProviderSettings::Local(settings) => {
            Ok(Arc::new(super::local::Local::new(settings.clone(), scope.cache.max_secret_bytes)))
        }
        #[cfg(feature = "aws")]
        ProviderSettings::AwsSecretsManager(settings) => {
            Ok(Arc::new(super::aws_secrets_manager::AwsSecretsManager::new(
                settings.clone(),
                scope.cache.timeout,
                scope.cache.max_secret_bytes,
            )?))
        }
        #[cfg(not(all(feature = "local", feature = "aws")))]
        other => Err(Error::new(
            super::ErrorKind::Malformed,
            format!("this hushfs was built without the provider `{}`", other.kind()),
        )),
    }
}
