//! A provider's server with secrets of one value, reached over TLS where it is reached over a network, and those who read
//! them all.

use std::fs;
use std::process::Command;
use std::thread;

use super::daemon::Place;
use super::fault_proxy::FaultProxy;
use super::marked::Mark;
use super::servers::{self, Server};
use super::store::Store;
use super::tls::Terminator;

/// Secrets that are read at the same time, so that there are several connections.
pub const SECRETS: usize = 8;
/// Leaves in a debug build connections open until there is a flush.
pub const KEEPS_WORN: &str = "HUSHFS_TEST_KEEPS_WORN_CONNECTIONS";

pub fn names() -> Vec<String> {
    (0..SECRETS).map(|n| format!("db-{n}")).collect()
}

/// A provider's server, and the way to it.
pub enum Backend {
    Folder(Store),
    Network { server: Box<dyn Server>, _proxy: FaultProxy, tls: Terminator },
}

impl Backend {
    pub fn start(provider: &str, place: &Place, mark: &Mark) -> Self {
        Self::holding(provider, place, &mark.value)
    }

    /// Where every secret has this value.
    pub fn holding(provider: &str, place: &Place, value: &str) -> Self {
        let names = names();
        if provider == "local" {
            let store = Store::new(place.path());
            let object = serde_json::json!({ "PASSWORD": value }).to_string();
            names.iter().for_each(|name| store.put(&format!("{name}.json.age"), object.as_bytes()));
            return Self::Folder(store);
        }
        let secrets: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), value)).collect();
        let server = servers::with(provider, &secrets);
        let proxy = FaultProxy::start(server.address());
        proxy.keep_connections();
        let tls = Terminator::start(proxy.address());
        Self::Network { server, _proxy: proxy, tls }
    }

    /// The lines of the scope `app`.
    pub fn scope(&self) -> String {
        match self {
            Self::Folder(store) => store.scope("app"),
            Self::Network { server, tls, .. } => {
                format!("[scopes.app]\n{}", server.lines(&tls.url(), Some(&tls.ca_file())))
            }
        }
    }

    /// What the daemon's environment needs besides.
    pub fn environment(&self, command: &mut Command) {
        if let Self::Network { server, tls, .. } = self {
            server.environment(command, Some(&tls.ca_file()));
        }
    }
}

/// Reads all secrets at once, each in every way.
pub fn read_all(place: &Place, mark: &Mark, value: &str) {
    thread::scope(|scope| {
        for name in names() {
            scope.spawn(move || {
                let secret = place.mnt().join("app").join(name);
                let read = fs::read(secret.join("PASSWORD"));
                let read = read.unwrap_or_else(|error| panic!("{error}: {}", place.log()));
                assert!(read == value.as_bytes(), "{} bytes of {}", read.len(), value.len());
                for whole in [".json", ".env"] {
                    assert!(mark.is_in(&fs::read(secret.join(whole)).unwrap()), "{whole}");
                }
            });
        }
    });
}
