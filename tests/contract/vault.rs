//! Vault, on OpenBao: both versions of the key-value engine.

use std::sync::Arc;
use std::time::Duration;

use hushfs::config::{
    CacheSettings, Format, KvVersion, ProviderSettings, Scope, ScopeName, VaultAuth, VaultEngine, VaultSettings,
};
use hushfs::provider::{ErrorKind, Fetched, Known, Provider, VersionSelector};
use serde_json::{Value, json};

use crate::suite::{self, Abilities, Fixture, MARK, expect_error};
use crate::support::bao_auth::READ_ALL;
use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::openbao::{OpenBao, ROOT};
use crate::test_name;

/// A scope with a prefix, in a mount that has secrets beside it.
pub struct Bao {
    pub server: OpenBao,
    /// Between the provider and the server.
    pub proxy: FaultProxy,
    kv: KvVersion,
}

const PREFIX: &str = "prod/";

fn run_version(kv: KvVersion, body: impl AsyncFnOnce(Bao)) {
    let server = OpenBao::start();
    server.root("POST", "sys/mounts/kv1", &json!({"type": "kv", "options": {"version": "1"}}));
    let proxy = FaultProxy::start(server.address());
    let bao = Bao { server, proxy, kv };
    bao.write("beside", "value", MARK);
    bao.write("not-prod/beside", "value", MARK);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(body(bao));
}

/// Runs `body` with a server of its own.
pub fn run(_test: &str, body: impl AsyncFnOnce(Bao)) {
    run_version(KvVersion::Two, body);
}

contract!(run);

mod kv1 {
    use super::*;

    fn run(_test: &str, body: impl AsyncFnOnce(Bao)) {
        run_version(KvVersion::One, body);
    }

    contract!(run);

    #[test]
    fn the_version_that_was_fetched_can_be_asked_for_until_it_is_replaced() {
        run(test_name!(), async |bao| {
            bao.put("db", b"first").await;
            let provider = suite::provider(&bao);
            let first = suite::current(&*provider, "db").await.version;
            let named = VersionSelector::Named(first.clone());
            assert!(bao.bytes(&suite::fetch(&*provider, "db", &named).await) == b"first");
            let again = suite::build(bao.scope());
            assert_ne!(suite::current(&*again, "db").await.version, first, "the version is no digest that others know");
            bao.rotate("db", b"second").await;
            expect_error(provider.fetch(&suite::name("db"), &named).await, ErrorKind::NotFound);
        });
    }
}

impl Fixture for Bao {
    fn scope(&self) -> Scope {
        self.scope_with(|_| {})
    }

    async fn put(&self, name: &str, bytes: &[u8]) {
        self.write(&format!("{PREFIX}{name}"), "value", std::str::from_utf8(bytes).expect("text"));
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
        let folder = match self.kv {
            KvVersion::One => "kv1",
            KvVersion::Two => "secret/metadata",
        };
        self.server.root("DELETE", &format!("{folder}/{PREFIX}{name}"), &Value::Null);
    }

    fn abilities(&self) -> Abilities {
        Abilities { empty_values: true, versions: self.kv == KvVersion::Two }
    }

    fn bytes<'a>(&self, fetched: &'a Fetched) -> &'a [u8] {
        key(fetched, "value")
    }

    fn overhead(&self) -> u64 {
        r#"{"value":""}"#.len() as u64
    }

    fn holds_binary(&self) -> bool {
        false
    }

    fn names_keys(&self) -> bool {
        self.kv == KvVersion::Two
    }

    fn has_times(&self) -> (bool, bool) {
        (self.kv == KvVersion::Two, false)
    }

    fn holds_unicode_names(&self) -> bool {
        true
    }

    fn set_fault(&self, fault: Fault) -> bool {
        self.proxy.set("*", fault);
        true
    }
}

impl Bao {
    /// With version 2 of the engine.
    pub fn of(server: OpenBao, proxy: FaultProxy) -> Self {
        Self { server, proxy, kv: KvVersion::Two }
    }

    pub fn scope_with(&self, change: impl FnOnce(&mut VaultSettings)) -> Scope {
        let mut settings = VaultSettings {
            address: self.proxy.url(),
            mount: match self.kv {
                KvVersion::One => "kv1".into(),
                KvVersion::Two => "secret".into(),
            },
            prefix: PREFIX.into(),
            engine: VaultEngine::Kv(self.kv),
            namespace: None,
            ca_file: None,
            auth: VaultAuth::Token { file: Some(self.server.file("root-token", ROOT)) },
        };
        change(&mut settings);
        Scope {
            name: ScopeName::new("vault").expect("a scope's name"),
            // Long, so that a slow machine fails nothing; tests of the timeout set their own.
            cache: CacheSettings { timeout: Duration::from_secs(60), ..CacheSettings::default() },
            format: Format::Auto,
            provider: ProviderSettings::Vault(settings),
        }
    }

    pub fn provider_with(&self, auth: VaultAuth) -> Arc<dyn Provider> {
        suite::build(self.scope_with(|settings| settings.auth = auth))
    }

    /// A provider with a token that may do what `rules`, a policy, says.
    pub fn provider_as(&self, policy: &str, rules: &str) -> Arc<dyn Provider> {
        self.server.policy(policy, rules);
        let token = self.server.token(&[policy], json!({}));
        self.provider_with(VaultAuth::Token { file: Some(self.server.file(&format!("{policy}-token"), &token)) })
    }

    /// A secret of one key.
    pub fn write(&self, path: &str, key: &str, value: &str) {
        let data = json!({ key: value });
        match self.kv {
            KvVersion::One => self.server.root("POST", &format!("kv1/{path}"), &data),
            KvVersion::Two => self.server.root("POST", &format!("secret/data/{path}"), &json!({ "data": data })),
        };
    }
}

/// The bytes of one key.
pub fn key<'a>(fetched: &'a Fetched, name: &str) -> &'a [u8] {
    let keys = fetched.payload.keys.as_ref().expect("keys");
    keys.iter().find(|(key, _)| key == name).map(|(_, value)| value.expose()).expect("the key")
}

#[test]
fn fields_are_keys_and_together_they_are_the_value() {
    run(test_name!(), async |bao| {
        let data = json!({"user": "u", "a/b": "", "port": 5432, "on": true, "none": null, "list": [1, {"x": "y z"}], "lt": "<&>"});
        bao.server.root("POST", "secret/data/prod/db", &json!({ "data": data }));
        let fetched = suite::current(&*suite::provider(&bao), "db").await;
        let expected: [(&str, &[u8]); 7] = [
            ("user", b"u"),
            ("a/b", b""),
            ("port", b"5432"),
            ("on", b"true"),
            ("none", b""),
            ("list", br#"[1,{"x":"y z"}]"#),
            ("lt", b"<&>"),
        ];
        for (name, value) in expected {
            assert_eq!(key(&fetched, name), value, "{name}");
        }
        assert_eq!(fetched.payload.keys.as_ref().expect("keys").len(), expected.len());
        let raw: Value = serde_json::from_slice(fetched.payload.raw.expose()).expect("JSON");
        assert_eq!(raw, data);
        assert_eq!(fetched.source, format!("{}/v1/secret/data/prod/db", bao.proxy.url()));
    });
}

#[test]
fn a_soft_deleted_version_is_not_found_and_its_neighbours_are() {
    run(test_name!(), async |bao| {
        for value in ["first", "second", "third"] {
            bao.put("db", value.as_bytes()).await;
        }
        let provider = suite::provider(&bao);
        let fetch = async |version: VersionSelector| provider.fetch(&suite::name("db"), &version).await;
        let named = |number: &str| VersionSelector::Named(number.into());

        bao.server.root("POST", "secret/delete/prod/db", &json!({"versions": [2]}));
        let error = expect_error(fetch(VersionSelector::Previous).await, ErrorKind::NotFound);
        assert!(error.detail.contains("version 2") && error.detail.contains("deleted"), "{error}");
        expect_error(fetch(named("2")).await, ErrorKind::NotFound);
        assert!(bao.bytes(&fetch(named("1")).await.expect("version 1")) == b"first");
        assert!(bao.bytes(&fetch(VersionSelector::Current).await.expect("the current")) == b"third");

        bao.server.root("POST", "secret/undelete/prod/db", &json!({"versions": [2]}));
        assert!(bao.bytes(&fetch(VersionSelector::Previous).await.expect("the previous")) == b"second");

        bao.server.root("POST", "secret/destroy/prod/db", &json!({"versions": [2]}));
        let error = expect_error(fetch(VersionSelector::Previous).await, ErrorKind::NotFound);
        assert!(error.detail.contains("destroyed"), "{error}");
        expect_error(fetch(named("4")).await, ErrorKind::NotFound);

        // The current one too; the secret's name stays in Vault's listings.
        bao.server.root("DELETE", "secret/data/prod/db", &Value::Null);
        expect_error(fetch(VersionSelector::Current).await, ErrorKind::NotFound);
        assert_eq!(suite::look(&*provider, "db").await.secret, Known::No);
        assert_eq!(suite::listing(&*provider).await.secrets.len(), 1);
        expect_error(fetch(VersionSelector::Previous).await, ErrorKind::NotFound);
        assert!(bao.bytes(&fetch(named("1")).await.expect("version 1")) == b"first");
    });
}

#[test]
fn custom_metadata_are_tags_and_the_time_is_the_versions() {
    run(test_name!(), async |bao| {
        bao.server.root("POST", "secret/metadata/prod/db", &json!({"custom_metadata": {"team": "data", "a": "b"}}));
        let provider = suite::provider(&bao);
        assert_eq!(suite::look(&*provider, "db").await.secret, Known::No, "metadata alone are no secret");
        bao.put("db", b"first").await;
        let first = suite::current(&*provider, "db").await;
        assert_eq!(first.tags, [("a".to_owned(), "b".to_owned()), ("team".to_owned(), "data".to_owned())]);
        bao.put("db", b"second").await;
        let second = suite::current(&*provider, "db").await;
        assert!(second.created > first.created);
        let old = suite::fetch(&*provider, "db", &VersionSelector::Named("1".into())).await;
        assert_eq!(old.created, first.created);
        assert_eq!(suite::look(&*provider, "db").await.changed, second.created);
    });
}

#[test]
fn names_of_any_characters_reach_their_secret_and_no_other() {
    run(test_name!(), async |bao| {
        let odd = [
            "a b",
            " c ",
            "é",
            "x%2fy",
            "%2e%2e",
            "q?a=1&b",
            "frag#ment",
            "semi;colon",
            "*",
            "+",
            "a:b",
            "\"'\\",
            ".hidden",
        ];
        for name in odd {
            let encoded: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
            bao.server.root("POST", &format!("secret/data/prod/odd/{encoded}"), &json!({"data": {"value": name}}));
        }
        let provider = suite::provider(&bao);
        let mut listed: Vec<String> =
            suite::listing(&*provider).await.secrets.iter().map(|it| it.name.to_string()).collect();
        listed.sort();
        let mut expected: Vec<String> = odd.iter().map(|name| format!("odd/{name}")).collect();
        expected.sort();
        assert_eq!(listed, expected);
        for name in &expected {
            assert!(
                bao.bytes(&suite::current(&*provider, name).await) == name.trim_start_matches("odd/").as_bytes(),
                "{name}"
            );
            assert_eq!(suite::look(&*provider, name).await.secret, Known::Yes, "{name}");
        }
        bao.proxy.forget_calls();
        for name in ["../beside", "odd/../../beside", "a//b", ".", "odd/"] {
            expect_error(provider.fetch(&suite::name(name), &VersionSelector::Current).await, ErrorKind::NotFound);
            assert_eq!(suite::look(&*provider, name).await.secret, Known::No);
        }
        assert_eq!(bao.proxy.all_calls(), 0, "a name that cannot exist costs no call");
    });
}

#[test]
fn a_refusal_of_a_secret_is_denied_and_names_the_path() {
    run(test_name!(), async |bao| {
        bao.put("mine", MARK.as_bytes()).await;
        bao.put("other", MARK.as_bytes()).await;
        let provider = bao.provider_as("mine", r#"path "secret/data/prod/mine" { capabilities = ["read"] }"#);
        assert!(bao.bytes(&suite::current(&*provider, "mine").await) == MARK.as_bytes());
        let fetched = provider.fetch(&suite::name("other"), &VersionSelector::Current).await;
        let error = expect_error(fetched, ErrorKind::Denied);
        assert!(
            error.detail.contains("secret/data/prod/other") && error.detail.contains("permission denied"),
            "{error}"
        );
        expect_error(provider.list().await, ErrorKind::Denied);
        // Neither metadata nor listings are allowed: unknown, and not an error.
        let presence = suite::look(&*provider, "mine").await;
        assert_eq!((presence.secret, presence.children), (Known::Unknown, Known::Unknown));
        // A policy may allow nothing but reading, which is enough for the previous version.
        bao.put("mine", b"second").await;
        assert!(bao.bytes(&suite::fetch(&*provider, "mine", &VersionSelector::Previous).await) == MARK.as_bytes());
    });
}

#[test]
fn a_look_says_what_policies_let_it_know() {
    run(test_name!(), async |bao| {
        bao.put("db", MARK.as_bytes()).await;
        bao.put("db/child", MARK.as_bytes()).await;
        let list = bao.provider_as("lister", r#"path "secret/metadata/*" { capabilities = ["list"] }"#);
        let presence = suite::look(&*list, "db").await;
        assert_eq!((presence.secret, presence.children), (Known::Yes, Known::Yes));
        assert_eq!(suite::look(&*list, "none").await.secret, Known::No);
        let read = bao.provider_as("looker", r#"path "secret/metadata/*" { capabilities = ["read"] }"#);
        let presence = suite::look(&*read, "db").await;
        assert_eq!((presence.secret, presence.children), (Known::Yes, Known::Unknown));
        assert!(presence.changed.is_some());
    });
}

#[test]
fn a_folder_that_is_refused_is_left_out_and_takes_no_other_along() {
    run(test_name!(), async |bao| {
        for name in ["top", "open/a", "shut/b"] {
            bao.put(name, MARK.as_bytes()).await;
        }
        let rules = format!("{READ_ALL}\npath \"secret/metadata/prod/shut/*\" {{ capabilities = [\"deny\"] }}");
        let provider = bao.provider_as("parts", &rules);
        let listing = suite::listing(&*provider).await;
        let mut names: Vec<String> = listing.secrets.iter().map(|it| it.name.to_string()).collect();
        names.sort();
        assert_eq!(names, ["open/a", "top"]);
        let [(left_out, why)] = &listing.left_out[..] else { panic!("{:?}", listing.left_out) };
        assert!(left_out == "shut/" && why.contains("permission denied"), "{left_out}: {why}");
    });
}

#[test]
fn permissions_are_what_the_server_says_of_all_paths_in_one_call() {
    run(test_name!(), async |bao| {
        let rules = r#"path "secret/data/prod/yes" { capabilities = ["read"] }
            path "secret/data/prod/written" { capabilities = ["create"] }
            path "secret/data/prod/no" { capabilities = ["deny"] }"#;
        let provider = bao.provider_as("some", rules);
        let names = ["yes", "written", "no", "not-named", "../out"].map(suite::name);
        provider.whoami().await.expect("an answer");
        bao.proxy.forget_calls();
        let permissions = provider.permissions(None, &names).await.expect("an answer");
        let read: Vec<Known> = permissions.iter().map(|it| it.read).collect();
        assert_eq!(read, [Known::Yes, Known::Unknown, Known::No, Known::No, Known::Unknown]);
        assert!(
            permissions[1].why.contains("create") && permissions[2].why.contains("secret/data/prod/no"),
            "{permissions:?}"
        );
        assert_eq!(bao.proxy.calls("POST /v1/sys/capabilities-self"), 1);

        let many: Vec<_> = (0..1200).map(|n| suite::name(&format!("s{n}"))).collect();
        assert_eq!(provider.permissions(None, &many).await.expect("an answer").len(), 1200);
        assert_eq!(bao.proxy.calls("POST /v1/sys/capabilities-self"), 4);

        // No secret may be told from another by a token that may not even ask.
        bao.server.policy("nothing", r#"path "nothing" { capabilities = ["deny"] }"#);
        let token = bao.server.token(&["nothing"], json!({"no_default_policy": true}));
        let mute = bao.provider_with(VaultAuth::Token { file: Some(bao.server.file("mute", &token)) });
        expect_error(mute.permissions(None, &names).await, ErrorKind::Denied);
    });
}

#[test]
fn an_identity_of_another_provider_is_refused() {
    run(test_name!(), async |bao| {
        let role = hushfs::config::ActsAs::AwsRole(hushfs::config::IdentityRole {
            role_arn: "arn:aws:iam::123456789012:role/x".into(),
            external_id: None,
            session_name: "s".into(),
        });
        let provider = suite::provider(&bao);
        expect_error(provider.permissions(Some(&role), &[suite::name("a")]).await, ErrorKind::Denied);
        let acting = hushfs::provider::Acting { acts_as: &role, user: None };
        let Err(error) = hushfs::provider::registry::build(&bao.scope(), Some(acting)) else { panic!("built") };
        assert_eq!(error.kind, ErrorKind::Malformed);
        assert_eq!(bao.proxy.all_calls(), 0);
    });
}

#[test]
fn a_namespace_has_secrets_of_its_own() {
    run(test_name!(), async |bao| {
        bao.server.namespace("team");
        bao.server.root("POST", "team:secret/data/prod/db", &json!({"data": {"value": "the team's"}}));
        bao.put("db", b"everybody's").await;
        let provider = suite::build(bao.scope_with(|settings| settings.namespace = Some("team".into())));
        assert!(bao.bytes(&suite::current(&*provider, "db").await) == b"the team's");
        assert_eq!(suite::listing(&*provider).await.secrets.len(), 1);
        let permissions = provider.permissions(None, &[suite::name("db")]).await.expect("an answer");
        assert_eq!(permissions[0].read, Known::Yes);
        let none = suite::build(bao.scope_with(|settings| settings.namespace = Some("other".into())));
        assert!(none.fetch(&suite::name("db"), &VersionSelector::Current).await.is_err());
    });
}

#[test]
fn a_mount_that_is_another_engine_is_no_empty_scope() {
    run(test_name!(), async |bao| {
        bao.put("db", MARK.as_bytes()).await;
        bao.server.root("POST", "kv1/prod/db", &json!({"value": MARK}));
        for (mount, kv, says) in [
            ("kv1", KvVersion::Two, "set kv = 1"),
            ("secret", KvVersion::One, "set kv = 2"),
            ("cubbyhole", KvVersion::One, "cubbyhole"),
        ] {
            let provider = suite::build(bao.scope_with(|settings| {
                settings.mount = mount.into();
                settings.engine = VaultEngine::Kv(kv);
            }));
            let error = expect_error(provider.list().await, ErrorKind::Malformed);
            assert!(error.detail.contains(says), "{error}");
        }
    });
}

#[test]
fn whoami_names_the_token_and_its_policies_and_never_the_token() {
    run(test_name!(), async |bao| {
        bao.server.policy("reader", READ_ALL);
        let token = bao.server.token(&["reader"], json!({"display_name": "hushfs"}));
        let provider = bao.provider_with(VaultAuth::Token { file: Some(bao.server.file("t", &token)) });
        let whoami = provider.whoami().await.expect("an answer");
        assert!(whoami.contains("token-hushfs") && whoami.contains("default, reader"), "{whoami}");
        assert!(!whoami.contains(&token));
    });
}
