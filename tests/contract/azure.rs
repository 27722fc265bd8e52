//! Azure Key Vault: a vault of our own, made from the published API, over TLS and with tokens.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hushfs::config::{AzureAuth, AzureKeyVaultSettings, CacheSettings, Format, ProviderSettings, Scope, ScopeName};
use hushfs::provider::{ErrorKind, Known, VersionSelector};

use crate::suite::{self, Abilities, Fixture, MARK, expect_error};
use crate::support::azure::{CLIENT, KeyVault, SECRET, TENANT};
use crate::support::own_process;
use crate::test_name;

/// A scope with a prefix, in a vault that has a secret beside it.
pub struct Vault {
    pub vault: KeyVault,
    pub folder: PathBuf,
}

const PREFIX: &str = "prod-";

/// Runs `body` with a vault of its own, in a process of its own.
pub fn run(test: &str, body: impl AsyncFnOnce(Vault)) {
    own_process::run(test, |folder: &Path| {
        let vault = Vault { vault: KeyVault::start(), folder: folder.to_owned() };
        vault.vault.put("beside", MARK);
        vault.vault.put("not-prod-beside", MARK);
        vault.write("client-secret", SECRET);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(body(vault));
    });
}

contract!(run);

impl Fixture for Vault {
    fn scope(&self) -> Scope {
        self.scope_with(|_| {})
    }

    async fn put(&self, name: &str, bytes: &[u8]) {
        self.vault.put(&format!("{PREFIX}{name}"), std::str::from_utf8(bytes).expect("text"));
    }

    async fn put_all(&self, names: &[String], bytes: &[u8]) {
        for name in names {
            self.put(name, bytes).await;
        }
    }

    async fn rotate(&self, name: &str, bytes: &[u8]) {
        self.put(name, bytes).await;
    }

    async fn delete(&self, name: &str) {
        self.vault.delete(&format!("{PREFIX}{name}"));
    }

    fn abilities(&self) -> Abilities {
        Abilities { empty_values: true, versions: true }
    }

    fn spell(&self, name: &str) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c.to_string() } else { "-".to_owned() };
        name.chars().map(plain).collect()
    }

    fn has_folders(&self) -> bool {
        false
    }

    fn largest(&self) -> usize {
        25_600
    }

    fn holds_binary(&self) -> bool {
        false
    }
}

impl Vault {
    /// A file with mode 0600, replaced at once.
    pub fn write(&self, file: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let (path, new) = (self.folder.join(file), self.folder.join("new~"));
        std::fs::write(&new, format!("{text}\n")).expect("written");
        std::fs::set_permissions(&new, PermissionsExt::from_mode(0o600)).expect("its mode");
        std::fs::rename(&new, &path).expect("renamed");
        path
    }

    pub fn scope_with(&self, change: impl FnOnce(&mut AzureKeyVaultSettings)) -> Scope {
        let mut settings = AzureKeyVaultSettings {
            vault_url: self.vault.url(),
            endpoint_url: None,
            prefix: PREFIX.into(),
            ca_file: Some(self.vault.ca_file()),
            authority_host: Some(self.vault.url()),
            auth: AzureAuth::ClientSecret {
                tenant_id: TENANT.into(),
                client_id: CLIENT.into(),
                client_secret_file: self.folder.join("client-secret"),
            },
        };
        change(&mut settings);
        Scope {
            name: ScopeName::new("azure").expect("a scope's name"),
            // Long, so that a slow machine fails nothing; tests of the timeout set their own.
            cache: CacheSettings { timeout: Duration::from_secs(60), ..CacheSettings::default() },
            format: Format::Auto,
            provider: ProviderSettings::AzureKeyVault(settings),
        }
    }
}

fn named(id: &str) -> VersionSelector {
    VersionSelector::Named(id.to_owned())
}

#[test]
fn a_fetch_is_one_call_and_a_listing_one_for_twenty_five_secrets() {
    run(test_name!(), async |it| {
        for n in 0..26 {
            it.put(&format!("s{n}"), MARK.as_bytes()).await;
        }
        let provider = suite::provider(&it);
        // The first call of a client is told what token the vault wants.
        suite::current(&*provider, "s1").await;
        assert_eq!(it.vault.proxy.all_calls(), 3);
        it.vault.proxy.forget_calls();
        suite::current(&*provider, "s1").await;
        assert_eq!(it.vault.proxy.all_calls(), 1);
        it.vault.proxy.forget_calls();
        suite::look(&*provider, "s1").await;
        assert_eq!(it.vault.proxy.all_calls(), 1);
        it.vault.proxy.forget_calls();
        assert_eq!(suite::listing(&*provider).await.secrets.len(), 26);
        assert_eq!(it.vault.proxy.all_calls(), 2, "28 secrets are in the vault");
        assert_eq!(it.vault.issued(), 1);
    });
}

#[test]
fn a_name_or_a_version_that_cannot_exist_costs_no_call_and_leads_nowhere() {
    run(test_name!(), async |it| {
        let provider = suite::provider(&it);
        for name in ["a/b", "../keys/k", "a?b", "a_b", "é", &"x".repeat(123)] {
            expect_error(provider.fetch(&suite::name(name), &VersionSelector::Current).await, ErrorKind::NotFound);
            assert_eq!(suite::look(&*provider, name).await.secret, Known::No);
        }
        for version in ["", "latest", "..", "../../beside", "versions"] {
            expect_error(provider.fetch(&suite::name("db"), &named(version)).await, ErrorKind::NotFound);
        }
        assert_eq!(it.vault.proxy.all_calls(), 0);
    });
}

#[test]
fn the_version_before_is_the_newest_enabled_one() {
    run(test_name!(), async |it| {
        let first = it.vault.put_as("prod-db", "first", |_| {});
        let second = it.vault.put_as("prod-db", "second", |_| {});
        for n in 0..30 {
            it.vault.put_as("prod-db", &format!("off {n}"), |version| version.enabled = false);
        }
        let last = it.vault.put_as("prod-db", "last", |_| {});
        let provider = suite::provider(&it);
        assert_eq!(suite::current(&*provider, "db").await.version, last);
        let previous = suite::fetch(&*provider, "db", &VersionSelector::Previous).await;
        assert!(previous.version == second && previous.payload.raw.expose() == b"second");
        it.vault.disable("prod-db", &second);
        assert_eq!(suite::fetch(&*provider, "db", &VersionSelector::Previous).await.version, first);
        // Of a secret whose current version is disabled too.
        it.vault.disable("prod-db", &last);
        assert_eq!(suite::fetch(&*provider, "db", &VersionSelector::Previous).await.version, first);
    });
}

#[test]
fn versions_of_the_same_second_are_told_apart_by_the_vault() {
    run(test_name!(), async |it| {
        it.vault.stop_the_clock();
        let first = it.vault.put_as("prod-db", "first", |_| {});
        it.vault.put_as("prod-db", "second", |_| {});
        let previous = suite::fetch(&*suite::provider(&it), "db", &VersionSelector::Previous).await;
        assert_eq!(previous.version, first);
    });
}

#[test]
fn a_disabled_secret_is_denied_and_says_so_and_is_still_listed() {
    run(test_name!(), async |it| {
        let old = it.vault.put_as("prod-db", MARK, |_| {});
        it.vault.put_as("prod-db", MARK, |version| version.enabled = false);
        let provider = suite::provider(&it);
        let error =
            expect_error(provider.fetch(&suite::name("db"), &VersionSelector::Current).await, ErrorKind::Denied);
        assert!(error.detail.contains("SecretDisabled"), "{error}");
        assert_eq!(suite::listing(&*provider).await.secrets.len(), 1);
        assert_eq!(suite::look(&*provider, "db").await.secret, Known::Yes);
        assert_eq!(suite::fetch(&*provider, "db", &named(&old)).await.version, old);
    });
}

#[test]
fn an_expired_secret_is_served_and_its_time_and_type_and_tags_are_told() {
    run(test_name!(), async |it| {
        it.vault.put_as("prod-db", MARK, |version| {
            version.expires = Some(1_600_000_000);
            version.content_type = Some("text/plain".into());
            version.tags.insert("team".into(), "données".into());
        });
        let fetched = suite::current(&*suite::provider(&it), "db").await;
        let tags =
            [("team", "données"), ("azure.content_type", "text/plain"), ("azure.expires", "2020-09-13T12:26:40Z")];
        assert_eq!(fetched.tags, tags.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(fetched.source, format!("{}/secrets/prod-db", it.vault.url()));
        assert!(fetched.created.is_some_and(|time| time > SystemTime::UNIX_EPOCH));
    });
}

#[test]
fn a_certificates_private_part_comes_as_the_vault_has_it() {
    run(test_name!(), async |it| {
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{MARK}\n-----END PRIVATE KEY-----\n");
        let kid = format!("{}/keys/prod-web/{}", it.vault.url(), "a".repeat(32));
        for (name, kind, value) in
            [("web", "application/x-pem-file", &*pem), ("pfx", "application/x-pkcs12", "TUlJS2dn")]
        {
            it.vault.put_as(&format!("prod-{name}"), value, |version| {
                version.content_type = Some(kind.into());
                version.kid = Some(kid.clone());
            });
        }
        let provider = suite::provider(&it);
        assert_eq!(suite::listing(&*provider).await.secrets.len(), 2);
        let web = suite::current(&*provider, "web").await;
        assert!(web.payload.raw.expose() == pem.as_bytes());
        assert!(web.tags.contains(&("azure.content_type".into(), "application/x-pem-file".into())));
        assert_eq!(suite::current(&*provider, "pfx").await.payload.raw.expose(), b"TUlJS2dn");
    });
}

#[test]
fn a_name_has_one_spelling_whatever_the_vault_lets_pass() {
    run(test_name!(), async |it| {
        it.vault.put("prod-Db", MARK);
        let provider = suite::provider(&it);
        let refused = async |name: &str| {
            let error =
                expect_error(provider.fetch(&suite::name(name), &VersionSelector::Current).await, ErrorKind::NotFound);
            assert!(error.detail.contains("`prod-Db`"), "{error}");
        };
        refused("db").await;
        suite::current(&*provider, "Db").await;
        // Where the vault echoes the question, the listing knows.
        it.vault.echo_names();
        suite::listing(&*provider).await;
        refused("DB").await;
        assert_eq!(suite::look(&*provider, "DB").await.secret, Known::No);
        suite::current(&*provider, "Db").await;
    });
}

#[test]
fn who_may_not_read_is_denied_and_who_may_not_list_reads_by_name() {
    run(test_name!(), async |it| {
        for name in ["db", "shut"] {
            it.put(name, MARK.as_bytes()).await;
        }
        it.vault.deny("prod-shut");
        it.vault.deny_listing();
        let provider = suite::provider(&it);
        let error =
            expect_error(provider.fetch(&suite::name("shut"), &VersionSelector::Current).await, ErrorKind::Denied);
        assert!(error.detail.contains("ForbiddenByRbac") && error.detail.contains("getSecret"), "{error}");
        expect_error(provider.list().await, ErrorKind::Denied);
        assert_eq!(suite::look(&*provider, "db").await.secret, Known::Unknown);
        suite::current(&*provider, "db").await;
        expect_error(provider.permissions(None, &[suite::name("db")]).await, ErrorKind::Denied);
        let who = provider.whoami().await.unwrap();
        assert!(who.contains(CLIENT) && who.contains(TENANT) && who.contains(&it.vault.url()), "{who}");
    });
}

#[test]
fn a_listing_that_leads_to_another_host_takes_no_token_there() {
    run(test_name!(), async |it| {
        for n in 0..30 {
            it.put(&format!("s{n}"), MARK.as_bytes()).await;
        }
        let provider = suite::provider(&it);
        let other = KeyVault::start();
        it.vault.set_next_link(&format!("{}/secrets?api-version=7.6", other.url()));
        let error = expect_error(provider.list().await, ErrorKind::Malformed);
        assert!(error.detail.contains("another host"), "{error}");
        assert_eq!(other.proxy.all_calls(), 0);
    });
}

#[test]
fn a_server_that_asks_for_a_token_that_is_good_for_more_gets_none() {
    run(test_name!(), async |it| {
        it.put("db", MARK.as_bytes()).await;
        it.vault.set_resource("https://management.azure.com");
        let provider = suite::provider(&it);
        let error =
            expect_error(provider.fetch(&suite::name("db"), &VersionSelector::Current).await, ErrorKind::Malformed);
        assert!(error.detail.contains("management.azure.com"), "{error}");
        assert_eq!(it.vault.issued(), 0);
    });
}

#[test]
fn callers_say_that_they_are_hushfs_and_nothing_else() {
    run(test_name!(), async |it| {
        it.put("db", MARK.as_bytes()).await;
        suite::current(&*suite::provider(&it), "db").await;
        assert_eq!(it.vault.agents(), [format!("hushfs/{}", env!("CARGO_PKG_VERSION"))]);
    });
}

#[test]
fn another_address_of_the_vault_is_used_where_one_is_set() {
    run(test_name!(), async |it| {
        it.put("db", MARK.as_bytes()).await;
        let provider = suite::build(it.scope_with(|settings| {
            settings.endpoint_url = Some(it.vault.url());
            settings.vault_url = "https://nowhere.vault.azure.net".into();
        }));
        assert!(suite::current(&*provider, "db").await.source.starts_with(&it.vault.url()));
    });
}
