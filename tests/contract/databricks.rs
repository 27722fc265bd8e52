//! Databricks: a workspace of our own that gives values, and MiniLake for what it can do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hushfs::config::{CacheSettings, DatabricksAuth, DatabricksSettings, Format, ProviderSettings, Scope, ScopeName};
use hushfs::provider::{ErrorKind, Fetched, Known, Provider, VersionSelector};
use serde_json::{Value, json};

use crate::suite::{self, Abilities, Fixture, MARK, expect_error};
use crate::support::databricks::{ADMIN, Workspace};
use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::minilake::MiniLake;
use crate::support::own_process;
use crate::test_name;

/// A scope with a prefix, in a workspace that has a secret scope beside it.
pub struct Lake {
    pub workspace: Workspace,
    /// Between the provider and the workspace.
    pub proxy: FaultProxy,
    pub folder: PathBuf,
}

const PREFIX: &str = "prod-";

/// Runs `body` with a workspace of its own, in a process of its own.
pub fn run(test: &str, body: impl AsyncFnOnce(Lake)) {
    own_process::run(test, |folder: &Path| {
        let workspace = Workspace::start();
        let proxy = FaultProxy::start(workspace.address());
        workspace.put("beside", "value", MARK.as_bytes());
        workspace.put("not-prod-beside", "value", MARK.as_bytes());
        let lake = Lake { proxy, folder: folder.to_owned(), workspace };
        lake.write("token", &lake.workspace.token(ADMIN));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(body(lake));
    });
}

contract!(run);

impl Fixture for Lake {
    fn scope(&self) -> Scope {
        self.scope_with(|_| {})
    }

    async fn put(&self, name: &str, bytes: &[u8]) {
        self.workspace.put(&format!("{PREFIX}{name}"), "value", bytes);
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
        self.workspace.delete(&format!("{PREFIX}{name}"));
    }

    fn abilities(&self) -> Abilities {
        Abilities { empty_values: true, versions: false }
    }

    fn spell(&self, name: &str) -> String {
        name.replace('+', "_plus").replace('=', "_equals")
    }

    fn bytes<'a>(&self, fetched: &'a Fetched) -> &'a [u8] {
        let keys = fetched.payload.keys.as_ref().expect("keys");
        keys.first().map_or(&[], |(_, value)| value.expose())
    }

    fn overhead(&self) -> u64 {
        r#"{"value":""}"#.len() as u64
    }

    fn names_keys(&self) -> bool {
        true
    }

    fn has_times(&self) -> (bool, bool) {
        (true, false)
    }

    fn set_fault(&self, fault: Fault) -> bool {
        self.proxy.set("*", fault);
        true
    }

    fn with_bad_credentials(&self) -> Option<Scope> {
        let token_file = self.write("bad", "no-token-of-this-workspace");
        Some(self.scope_with(|settings| settings.auth = DatabricksAuth::Pat { token_file }))
    }
}

impl Lake {
    /// A file with mode 0600, replaced at once.
    pub fn write(&self, file: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let (path, new) = (self.folder.join(file), self.folder.join("new~"));
        std::fs::write(&new, format!("{text}\n")).expect("written");
        std::fs::set_permissions(&new, PermissionsExt::from_mode(0o600)).expect("its mode");
        std::fs::rename(&new, &path).expect("renamed");
        path
    }

    pub fn scope_with(&self, change: impl FnOnce(&mut DatabricksSettings)) -> Scope {
        let mut settings = DatabricksSettings {
            host: Some(self.proxy.url()),
            prefix: PREFIX.into(),
            ca_file: None,
            auth: DatabricksAuth::Pat { token_file: self.folder.join("token") },
        };
        change(&mut settings);
        Scope {
            name: ScopeName::new("lake").expect("a scope's name"),
            // Long, so that a slow machine fails nothing; tests of the timeout set their own.
            cache: CacheSettings { timeout: Duration::from_secs(60), ..CacheSettings::default() },
            format: Format::Auto,
            provider: ProviderSettings::Databricks(settings),
        }
    }

    /// A provider with the token of a user.
    fn provider_as(&self, user: &str) -> std::sync::Arc<dyn Provider> {
        let token_file = self.write(&format!("token-of-{user}"), &self.workspace.token(user));
        suite::build(self.scope_with(|settings| settings.auth = DatabricksAuth::Pat { token_file }))
    }
}

fn keys(fetched: &Fetched) -> Vec<(&str, &[u8])> {
    let keys = fetched.payload.keys.as_ref().expect("keys");
    keys.iter().map(|(key, value)| (key.as_str(), value.expose())).collect()
}

#[test]
fn the_keys_of_a_secret_scope_come_with_their_exact_bytes() {
    run(test_name!(), async |lake| {
        let values: [(&str, &[u8]); 5] = [
            ("PASSWORD", MARK.as_bytes()),
            ("binary", &[0, 0xff, 0xfe]),
            ("cert.pem", b"-----BEGIN\r\n\n"),
            ("empty", b""),
            ("json", br#"{"a":1}"#),
        ];
        for (key, value) in values.iter().rev() {
            lake.workspace.put("prod-db", key, value);
        }
        let fetched = suite::current(&*suite::provider(&lake), "db").await;
        assert!(keys(&fetched) == values);
        let raw: Value = serde_json::from_slice(fetched.payload.raw.expose()).unwrap();
        assert_eq!(raw["binary"], json!({"base64": "AP/+"}));
        assert_eq!(raw["json"], r#"{"a":1}"#);
        assert_eq!(raw["empty"], "");
        assert!(fetched.source.starts_with(&lake.proxy.url()) && fetched.source.ends_with("scope=prod-db"));
    });
}

#[test]
fn an_empty_secret_scope_is_there_and_has_no_keys() {
    run(test_name!(), async |lake| {
        lake.workspace.create("prod-empty");
        let provider = suite::provider(&lake);
        let fetched = suite::current(&*provider, "empty").await;
        assert!(keys(&fetched).is_empty() && fetched.created.is_none());
        assert_eq!(suite::look(&*provider, "empty").await.secret, Known::Yes);
    });
}

#[test]
fn a_fetch_is_a_call_for_each_key_and_two_and_a_look_is_two_and_a_listing_one() {
    run(test_name!(), async |lake| {
        for key in ["a", "b", "c"] {
            lake.workspace.put("prod-db", key, MARK.as_bytes());
        }
        let provider = suite::provider(&lake);
        suite::current(&*provider, "db").await;
        assert_eq!(
            (lake.proxy.calls("secrets/get"), lake.proxy.calls("secrets/list"), lake.proxy.all_calls()),
            (3, 2, 5)
        );
        lake.proxy.forget_calls();
        suite::look(&*provider, "db").await;
        assert_eq!(lake.proxy.all_calls(), 2);
        lake.proxy.forget_calls();
        suite::listing(&*provider).await;
        assert_eq!(lake.proxy.all_calls(), 1);
    });
}

#[test]
fn a_name_that_cannot_exist_costs_no_call() {
    run(test_name!(), async |lake| {
        let provider = suite::provider(&lake);
        for name in ["a b", "a&scope=beside", "é", &"x".repeat(124)] {
            expect_error(provider.fetch(&suite::name(name), &VersionSelector::Current).await, ErrorKind::NotFound);
            assert_eq!(suite::look(&*provider, name).await.secret, Known::No);
        }
        assert_eq!(lake.proxy.all_calls(), 0);
    });
}

#[test]
fn two_hundred_keys_are_read_a_few_at_a_time_and_each_is_its_own() {
    run(test_name!(), async |lake| {
        for n in 0..200 {
            lake.workspace.put("prod-wide", &format!("k{n:03}"), format!("v{n}").as_bytes());
        }
        let fetched = suite::current(&*suite::provider(&lake), "wide").await;
        let keys = keys(&fetched);
        assert_eq!(keys.len(), 200);
        for (n, (key, value)) in keys.iter().enumerate() {
            assert!(*key == format!("k{n:03}") && *value == format!("v{n}").as_bytes(), "{key}");
        }
        assert!(lake.workspace.most_readers() <= 8, "{} at once", lake.workspace.most_readers());
    });
}

#[test]
fn keys_that_are_too_large_together_are_too_large() {
    run(test_name!(), async |lake| {
        for key in ["a", "b", "c"] {
            lake.workspace.put("prod-db", key, &[b'x'; 400]);
        }
        let mut scope = lake.scope();
        scope.cache.max_secret_bytes = 1000;
        let fetched = suite::build(scope).fetch(&suite::name("db"), &VersionSelector::Current).await;
        expect_error(fetched, ErrorKind::TooLarge);
    });
}

#[test]
fn a_key_that_has_gone_since_the_listing_is_left_out() {
    run(test_name!(), async |lake| {
        lake.workspace.put("prod-db", "gone", MARK.as_bytes());
        lake.workspace.put("prod-db", "stays", b"here");
        lake.workspace.refuse_value("gone", 404, "RESOURCE_DOES_NOT_EXIST");
        let fetched = suite::current(&*suite::provider(&lake), "db").await;
        assert!(keys(&fetched) == [("stays", &b"here"[..])]);
    });
}

#[test]
fn one_key_that_is_refused_is_a_refusal_of_all() {
    run(test_name!(), async |lake| {
        lake.workspace.put("prod-db", "open", MARK.as_bytes());
        lake.workspace.put("prod-db", "shut", MARK.as_bytes());
        lake.workspace.refuse_value("shut", 403, "PERMISSION_DENIED");
        let provider = suite::provider(&lake);
        let error =
            expect_error(provider.fetch(&suite::name("db"), &VersionSelector::Current).await, ErrorKind::Denied);
        assert!(error.detail.contains("prod-db") && error.detail.contains("shut"), "{error}");
    });
}

#[test]
fn keys_that_change_while_they_are_read_are_of_one_version_or_not_served() {
    run(test_name!(), async |lake| {
        lake.workspace.put("prod-db", "a", b"1");
        let provider = suite::provider(&lake);
        let before = suite::current(&*provider, "db").await;
        lake.workspace.change_while_read(1);
        let after = suite::current(&*provider, "db").await;
        assert!(keys(&after) == [("a", &b"1+"[..])]);
        assert_ne!(before.version, after.version);
        assert_eq!(suite::current(&*provider, "db").await.version, after.version);
        lake.workspace.change_while_read(usize::MAX);
        let error =
            expect_error(provider.fetch(&suite::name("db"), &VersionSelector::Current).await, ErrorKind::Unreachable);
        assert!(error.detail.contains("change while"), "{error}");
    });
}

#[test]
fn the_current_version_is_found_by_its_id_and_no_other_is_kept() {
    run(test_name!(), async |lake| {
        lake.put("db", b"first").await;
        let provider = suite::provider(&lake);
        let first = VersionSelector::Named(suite::current(&*provider, "db").await.version);
        assert!(keys(&suite::fetch(&*provider, "db", &first).await) == [("value", &b"first"[..])]);
        lake.rotate("db", b"second").await;
        expect_error(provider.fetch(&suite::name("db"), &first).await, ErrorKind::NotFound);
    });
}

#[test]
fn a_scope_backed_by_a_key_vault_is_served_and_its_changes_are_seen_without_times() {
    run(test_name!(), async |lake| {
        lake.workspace.put_in_key_vault("prod-vault", "a", b"first");
        let provider = suite::provider(&lake);
        assert_eq!(suite::listing(&*provider).await.secrets.len(), 1);
        let first = suite::current(&*provider, "vault").await;
        assert!(keys(&first) == [("a", &b"first"[..])]);
        assert_eq!(suite::current(&*provider, "vault").await.version, first.version);
        lake.workspace.put_in_key_vault("prod-vault", "a", b"other");
        assert_ne!(suite::current(&*provider, "vault").await.version, first.version);
    });
}

#[test]
fn a_workspace_that_gives_values_to_notebooks_only_is_denied_and_says_so() {
    run(test_name!(), async |lake| {
        lake.put("db", MARK.as_bytes()).await;
        lake.workspace.keep_values_to_notebooks();
        let provider = suite::provider(&lake);
        let error =
            expect_error(provider.fetch(&suite::name("db"), &VersionSelector::Current).await, ErrorKind::Denied);
        assert!(error.detail.contains("notebooks") && error.detail.contains("BAD_REQUEST"), "{error}");
        assert_eq!(suite::listing(&*provider).await.secrets.len(), 1);
    });
}

#[test]
fn an_acl_that_is_missing_is_denied_and_predicted() {
    run(test_name!(), async |lake| {
        for name in ["read", "manage", "none"] {
            lake.put(name, MARK.as_bytes()).await;
        }
        lake.workspace.allow("prod-read", "reader", "READ");
        lake.workspace.allow("prod-manage", "reader", "MANAGE");
        let provider = lake.provider_as("reader");
        let names = ["read", "manage", "none", "absent", "a b"].map(suite::name);
        let answers = provider.permissions(None, &names).await.unwrap();
        let expected = [Known::Yes, Known::Yes, Known::No, Known::Unknown, Known::Unknown];
        assert_eq!(answers.iter().map(|it| it.read).collect::<Vec<_>>(), expected);
        let fetched = provider.fetch(&suite::name("none"), &VersionSelector::Current).await;
        let error = expect_error(fetched, ErrorKind::Denied);
        assert!(error.detail.contains("PERMISSION_DENIED") && error.detail.contains("prod-none"), "{error}");
        assert!(lake.bytes(&suite::current(&*provider, "read").await) == MARK.as_bytes());
        // It is listed, so it is there.
        assert_eq!(suite::look(&*provider, "none").await.secret, Known::Yes);

        let words = async |name: &str| provider.permissions(None, &[suite::name(name)]).await.unwrap().remove(0).why;
        assert!(words("manage").await.contains("gives reader MANAGE"), "{}", words("manage").await);
        assert!(words("read").await.contains("only to who has MANAGE"), "{}", words("read").await);
    });
}

#[test]
fn we_are_who_the_workspace_says() {
    run(test_name!(), async |lake| {
        let who = lake.provider_as("reader").whoami().await.unwrap();
        assert_eq!(who, format!("reader (Me) at {}", lake.proxy.url()));
        assert_eq!(lake.workspace.agents(), [format!("hushfs/{}", env!("CARGO_PKG_VERSION"))]);
    });
}

/// The same requests to a server; the status of each answer and what it holds that is not chance.
async fn script(url: &str, token: &str) -> Vec<(String, u16, Value)> {
    let scopes = [
        ("POST", "scopes/create", json!({"scope": "one"})),
        ("POST", "scopes/create", json!({"scope": "two"})),
        ("POST", "put", json!({"scope": "one", "key": "a", "string_value": "x"})),
        ("POST", "put", json!({"scope": "one", "key": "b", "string_value": "x"})),
        ("POST", "acls/put", json!({"scope": "one", "principal": "reader", "permission": "READ"})),
        ("POST", "acls/put", json!({"scope": "one", "principal": "reader", "permission": "ALL"})),
        ("GET", "scopes/list", json!({})),
        ("GET", "list?scope=one", json!({})),
        ("GET", "list?scope=none", json!({})),
        ("GET", "acls/get?scope=one&principal=reader", json!({})),
        ("GET", "acls/get?scope=one&principal=nobody", json!({})),
        ("GET", "get?scope=one&key=a", json!({})),
    ];
    let mut answers = Vec::new();
    let client = reqwest::Client::builder().tls_certs_only(Vec::new()).build().unwrap();
    for (method, call, body) in scopes {
        let request = client
            .request(method.parse().unwrap(), format!("{url}/api/2.0/secrets/{call}"))
            .bearer_auth(token)
            .header("content-type", "application/json")
            .body(body.to_string());
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let mut answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        for entry in answer.get_mut("secrets").and_then(Value::as_array_mut).into_iter().flatten() {
            assert!(entry["last_updated_timestamp"].take().is_u64(), "{entry}");
        }
        // Texts differ, and MiniLake calls a missing secret scope NOT_FOUND in some places.
        if let Some(code) = answer.get("error_code") {
            let code = if code == "NOT_FOUND" { json!("RESOURCE_DOES_NOT_EXIST") } else { code.clone() };
            answer = json!({"error_code": code});
        }
        answers.push((format!("{method} {call}"), status, answer));
    }
    answers
}

#[test]
fn our_workspace_answers_as_minilake_does() {
    run(test_name!(), async |lake| {
        for name in ["beside", "not-prod-beside"] {
            lake.workspace.delete(name);
        }
        lake.workspace.keep_values_to_notebooks();
        let minilake = MiniLake::start();
        let ours = script(&lake.workspace.url(), &lake.workspace.token(ADMIN)).await;
        let theirs = script(&minilake.url(), "any").await;
        assert_eq!(ours, theirs);

        let scope = lake.scope_with(|settings| {
            settings.host = Some(minilake.url());
            settings.prefix = String::new();
        });
        let provider = suite::build(scope);
        let mut names: Vec<String> =
            suite::listing(&*provider).await.secrets.iter().map(|it| it.name.to_string()).collect();
        names.sort();
        assert_eq!(names, ["one", "two"]);
        let presence = suite::look(&*provider, "one").await;
        assert!(presence.secret == Known::Yes && presence.changed.is_some(), "{presence:?}");
        assert!(suite::look(&*provider, "none").await.is_nothing());
        assert!(keys(&suite::current(&*provider, "two").await).is_empty());
        let fetched = provider.fetch(&suite::name("one"), &VersionSelector::Current).await;
        assert!(expect_error(fetched, ErrorKind::Denied).detail.contains("notebooks"));
        expect_error(provider.fetch(&suite::name("none"), &VersionSelector::Current).await, ErrorKind::NotFound);
        let permission = provider.permissions(None, &[suite::name("one")]).await.unwrap().remove(0);
        assert!(permission.read == Known::Yes && permission.why.contains("ACL"), "{permission:?}");
        assert!(!provider.whoami().await.unwrap().is_empty());
    });
}
