//! From a scope's settings to its provider.

use std::sync::Arc;

use super::{Acting, Error, Provider};
#[cfg(any(
    feature = "local",
    feature = "aws",
    feature = "gcp",
    feature = "vault",
    feature = "databricks",
    feature = "kubernetes",
    feature = "azure"
))]
use crate::config::ProviderSettings;
use crate::config::Scope;

/// Makes the provider of a scope, which asks as `acting` or as the scope's own identity. Reaches no network and
/// reads no secret: the mount comes up without either, and what is wrong shows when a secret is asked for.
pub fn build(scope: &Scope, acting: Option<Acting<'_>>) -> Result<Arc<dyn Provider>, Error> {
    // A build may have no provider that takes on identities.
    let _ = acting;
    match &scope.provider {
        #[cfg(feature = "local")]
        ProviderSettings::Local(settings) => {
            if let Some(acting) = acting {
                return Err(acting.is_nobody_at("a local folder"));
            }
            Ok(Arc::new(super::local::Local::new(settings.clone(), scope.cache.max_secret_bytes)))
        }
        #[cfg(feature = "aws")]
        ProviderSettings::AwsSecretsManager(settings) => {
            Ok(Arc::new(super::aws::secrets_manager::AwsSecretsManager::new(
                settings.clone(),
                acting,
                scope.cache.timeout,
                scope.cache.max_secret_bytes,
            )?))
        }
        #[cfg(feature = "aws")]
        ProviderSettings::AwsParameterStore(settings) => {
            Ok(Arc::new(super::aws::parameter_store::AwsParameterStore::new(
                settings.clone(),
                acting,
                scope.cache.timeout,
                scope.cache.max_secret_bytes,
            )?))
        }
        #[cfg(feature = "gcp")]
        ProviderSettings::GcpSecretManager(settings) => Ok(Arc::new(super::gcp_secret_manager::GcpSecretManager::new(
            settings.clone(),
            acting,
            scope.cache.timeout,
            scope.cache.max_secret_bytes,
        )?)),
        #[cfg(feature = "vault")]
        ProviderSettings::Vault(settings) => Ok(Arc::new(super::vault::Vault::new(
            settings.clone(),
            acting,
            scope.cache.timeout,
            scope.cache.max_secret_bytes,
        )?)),
        #[cfg(feature = "databricks")]
        ProviderSettings::Databricks(settings) => Ok(Arc::new(super::databricks::Databricks::new(
            settings.clone(),
            acting,
            scope.cache.timeout,
            scope.cache.max_secret_bytes,
        )?)),
        #[cfg(feature = "kubernetes")]
        ProviderSettings::Kubernetes(settings) => Ok(Arc::new(super::kubernetes::Kubernetes::new(
            settings.clone(),
            acting,
            scope.cache.timeout,
            scope.cache.max_secret_bytes,
        )?)),
        #[cfg(feature = "azure")]
        ProviderSettings::AzureKeyVault(settings) => {
            if let Some(acting) = acting {
                return Err(acting.is_nobody_at("an Azure key vault"));
            }
            Ok(Arc::new(super::azure_key_vault::AzureKeyVault::new(
                settings.clone(),
                scope.cache.timeout,
                scope.cache.max_secret_bytes,
            )?))
        }
        #[cfg(not(all(
            feature = "local",
            feature = "aws",
            feature = "gcp",
            feature = "vault",
            feature = "databricks",
            feature = "kubernetes",
            feature = "azure"
        )))]
        other => {
            let text = format!("this hushfs was built without the provider `{}`", other.kind());
            Err(Error::new(super::ErrorKind::Malformed, text))
        }
    }
}
