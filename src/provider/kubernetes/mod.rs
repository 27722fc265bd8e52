//! The Secrets, or the ConfigMaps, of a Kubernetes namespace.
//!
//! An object is a secret, the scope's prefix removed from its name; its `data` are its keys. There are no versions:
//! the object's `resourceVersion` is shown as the one that there is. Changes are told as they happen, by a watch.
//!
//! Requests and the form of kubeconfigs are those of the crate kube; calls are made by `rest`, so that proxies,
//! bounds and deadlines are those of every provider, and no program of a kubeconfig is ever run.
//!
//! One question is one call, but for these: a listing takes one for every 500 objects, and one about the namespace if
//! there are none; permissions take two where not all is allowed, and more where the server cannot say it in one.

mod cluster;
mod error;
mod fetch;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod kubeconfig;
mod list;
mod look;
mod names;
mod object;
mod permissions;
mod selector;
mod session;
mod watch;
mod whoami;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use kube::core::Selector;

use super::connections::Connections;
use super::rest::within;
use super::{Acting, Answer, Change, Error, Fetched, Listing, Permission, Presence, Provider};
use super::{Closing, SecretName, VersionSelector, says_nothing_of};
use crate::config::{ActsAs, KubernetesKind, KubernetesSettings};

/// One namespace, below one prefix.
pub struct Kubernetes {
    shared: Arc<Shared>,
}

/// What calls have in common.
struct Shared {
    settings: KubernetesSettings,
    /// The service account that is impersonated, of an `[[identity]]`: `NAME` or `NAMESPACE/NAME`.
    impersonated: Option<String>,
    /// What the settings' `labels` mean.
    selector: Selector,
    /// The longest that one operation, and one call of a listing, may take.
    deadline: Duration,
    max_secret_bytes: u64,
    sessions: session::Sessions,
    connections: Arc<Connections>,
    watched: tokio::sync::Mutex<watch::Watched>,
}

impl Kubernetes {
    /// Reaches nothing. No operation but a listing takes longer than `timeout`.
    ///
    /// # Errors
    /// [`Malformed`](super::ErrorKind::Malformed) if the settings can never work.
    pub fn new(
        settings: KubernetesSettings,
        acting: Option<Acting<'_>>,
        timeout: Duration,
        max_secret_bytes: u64,
    ) -> Result<Self, Error> {
        let impersonated = match acting.map(|acting| (acting, acting.acts_as)) {
            None => None,
            Some((_, ActsAs::KubernetesServiceAccount(name))) => Some(name.clone()),
            Some((acting, ActsAs::AwsRole(_) | ActsAs::GcpServiceAccount(_) | ActsAs::VaultRole(_))) => {
                return Err(acting.is_nobody_at("Kubernetes"));
            }
        };
        let selector = match &settings.labels {
            None => Selector::default(),
            Some(text) => selector::parse(text)?,
        };
        let shared = Shared {
            settings,
            impersonated,
            selector,
            // Room for the caller to turn the error into a reply before its own deadline passes.
            deadline: timeout.mul_f64(0.9),
            max_secret_bytes,
            sessions: session::Sessions::default(),
            connections: Arc::default(),
            watched: tokio::sync::Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// `work`, given up when the deadline passes.
    fn in_time<'a, T>(&'a self, work: impl Future<Output = Result<T, Error>> + Send + 'a) -> Answer<'a, T> {
        within(self.shared.deadline, "Kubernetes", work)
    }
}

impl Shared {
    /// The objects' kind in paths and rules.
    fn resource(&self) -> &'static str {
        match self.settings.kind {
            KubernetesKind::Secrets => "secrets",
            KubernetesKind::ConfigMaps => "configmaps",
        }
    }

    /// The objects' kind in their own words.
    fn kind(&self) -> &'static str {
        match self.settings.kind {
            KubernetesKind::Secrets => "Secret",
            KubernetesKind::ConfigMaps => "ConfigMap",
        }
    }
}

impl Provider for Kubernetes {
    fn kind(&self) -> &'static str {
        "kubernetes"
    }

    fn list(&self) -> Answer<'_, Listing> {
        Box::pin(list::list(&self.shared))
    }

    fn lists_many_in_a_call(&self) -> bool {
        true
    }

    fn look<'a>(&'a self, name: &'a SecretName) -> Answer<'a, Presence> {
        self.in_time(look::look(&self.shared, name))
    }

    fn fetch<'a>(&'a self, name: &'a SecretName, version: &'a VersionSelector) -> Answer<'a, Fetched> {
        self.in_time(fetch::fetch(&self.shared, name, version))
    }

    fn permissions<'a>(&'a self, identity: Option<&'a ActsAs>, names: &'a [SecretName]) -> Answer<'a, Vec<Permission>> {
        match identity {
            // Many names may be many calls, each with a deadline of its own: the cache has more patience here.
            None => Box::pin(permissions::permissions(&self.shared, names)),
            Some(other) => Box::pin(std::future::ready(Err(says_nothing_of(other, "Kubernetes")))),
        }
    }

    fn watch<'a>(&'a self, heard: &'a (dyn Fn(Change) + Send + Sync)) -> Option<Answer<'a, Infallible>> {
        Some(Box::pin(watch::watch(&self.shared, heard)))
    }

    fn close_connections(&self, which: Closing) {
        self.shared.connections.close(which);
    }

    fn whoami(&self) -> Answer<'_, String> {
        self.in_time(whoami::whoami(&self.shared))
    }
}
