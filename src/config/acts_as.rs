//! As whom a provider is asked by an `[[identity]]`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

/// Another identity at a provider. A service takes on those of its own kind, and no others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ActsAs {
    /// An AWS role, taken on with the credentials of the scope.
    AwsRole(IdentityRole),
    /// The address of a service account of Google Cloud, impersonated with the credentials of the scope.
    GcpServiceAccount(String),
    /// A role at Vault.
    VaultRole(VaultRole),
    /// A service account of Kubernetes, `NAME` in the scope's namespace or `NAMESPACE/NAME`, impersonated with the
    /// credentials of the scope.
    KubernetesServiceAccount(String),
}

/// A role by which tokens of Vault are had: of the scope's own auth method, or of tokens where that is a token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VaultRole {
    pub name: String,
    /// What AppRole logs in with instead of the scope's own: the file of the role's id and that of the secret id.
    pub approle: Option<(PathBuf, PathBuf)>,
}

/// A role of an `[[identity]]`. In both texts `{host}`, `{user}` and `{uid}` stand for the host's name and for
/// the caller's user, by name and by number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdentityRole {
    pub role_arn: String,
    pub external_id: Option<String>,
    pub session_name: String,
}

impl ActsAs {
    /// The same for as long as it is the same, whatever else a configuration says, and in every daemon of a build: what
    /// was given to one is never looked for under the number of another.
    pub fn number(&self) -> usize {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        // JSON readers may know no larger integers.
        usize::try_from(hasher.finish() >> 11).unwrap_or(usize::MAX)
    }

    /// For people and for the audit log.
    pub fn label(&self) -> &str {
        match self {
            Self::AwsRole(role) => &role.role_arn,
            Self::GcpServiceAccount(email) => email,
            Self::VaultRole(role) => &role.name,
            Self::KubernetesServiceAccount(name) => name,
        }
    }

    /// What it is, for people.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AwsRole(_) => "an AWS role",
            Self::GcpServiceAccount(_) => "a service account of Google Cloud",
            Self::VaultRole(_) => "a role at Vault",
            Self::KubernetesServiceAccount(_) => "a service account of Kubernetes",
        }
    }

    /// Does the service tell the scope's own identity what this one may do? Else it is asked itself.
    pub fn is_told_to_others(&self) -> bool {
        match self {
            Self::AwsRole(_) => true,
            Self::GcpServiceAccount(_) | Self::VaultRole(_) | Self::KubernetesServiceAccount(_) => false,
        }
    }

    /// Does the service see which user asks? Then each user is an identity of their own.
    pub fn names_the_user(&self) -> bool {
        match self {
            Self::AwsRole(role) => {
                let texts = [Some(&role.session_name), role.external_id.as_ref()];
                texts.into_iter().flatten().any(|text| text.contains("{user}") || text.contains("{uid}"))
            }
            Self::GcpServiceAccount(_) | Self::VaultRole(_) | Self::KubernetesServiceAccount(_) => false,
        }
    }
}
