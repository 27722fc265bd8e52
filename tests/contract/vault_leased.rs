//! Credentials that Vault lends: OpenBao's database engine, making accounts in PostgreSQL.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hushfs::config::{
    CacheSettings, Format, KvVersion, LeasedEngine, ProviderSettings, Scope, ScopeName, VaultAuth, VaultEngine,
    VaultSettings,
};
use hushfs::provider::{ErrorKind, Fetched, Known, Provider, VersionSelector};
use serde_json::json;

use crate::suite::{self, expect_error};
use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::openbao::{OpenBao, ROOT};
use crate::support::postgres::{Postgres, leases};
use crate::vault::key;

struct Bank {
    bao: OpenBao,
    postgres: Postgres,
    /// Between the provider and the server.
    proxy: FaultProxy,
}

const CREDS: &str = "GET /v1/database/creds/app";
const RENEW: &str = "POST /v1/sys/leases/renew";

/// What the documentation calls the least policy.
const LEAST: &str = r#"path "database/creds/*" { capabilities = ["read"] }
    path "database/static-creds/*" { capabilities = ["read"] }
    path "database/roles" { capabilities = ["list"] }
    path "database/static-roles" { capabilities = ["list"] }
    path "sys/leases/renew" { capabilities = ["update"] }
    path "sys/leases/revoke" { capabilities = ["update"] }"#;

/// With the role `app`, whose leases are as long as this.
fn run(ttl: &str, max_ttl: &str, body: impl AsyncFnOnce(Bank)) {
    let (bao, postgres) = (OpenBao::start(), Postgres::start());
    postgres.engine(&bao);
    postgres.role(&bao, "app", ttl, max_ttl);
    let proxy = FaultProxy::start(bao.address());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(body(Bank { bao, postgres, proxy }));
}

impl Bank {
    fn provider(&self, auth: VaultAuth) -> Arc<dyn Provider> {
        self.provider_of(VaultEngine::Leased(LeasedEngine::Database), "database", auth)
    }

    fn provider_of(&self, engine: VaultEngine, mount: &str, auth: VaultAuth) -> Arc<dyn Provider> {
        suite::build(Scope {
            name: ScopeName::new("db").expect("a scope's name"),
            cache: CacheSettings { timeout: Duration::from_secs(60), ..CacheSettings::default() },
            format: Format::Auto,
            provider: ProviderSettings::Vault(VaultSettings {
                address: self.proxy.url(),
                mount: mount.into(),
                prefix: String::new(),
                engine,
                namespace: None,
                ca_file: None,
                auth,
            }),
        })
    }

    /// A token of the user's own that may do what `rules` say.
    fn token(&self, rules: &str) -> VaultAuth {
        self.bao.policy("hushfs", rules);
        let token = self.bao.token(&["hushfs"], json!({}));
        VaultAuth::Token { file: Some(self.bao.file("token", &token)) }
    }

    /// A login whose tokens have the policy `hushfs`.
    fn approle(&self, rules: &str, settings: serde_json::Value) -> VaultAuth {
        self.bao.policy("hushfs", rules);
        self.bao.root("POST", "sys/auth/approle", &json!({"type": "approle"}));
        let mut role = json!({"token_policies": ["hushfs"]});
        role.as_object_mut().expect("an object").extend(settings.as_object().expect("an object").clone());
        self.bao.root("POST", "auth/approle/role/hushfs", &role);
        let file = |name: &str, answer: serde_json::Value, field: &str| {
            self.bao.file(name, answer["data"][field].as_str().expect("an id"))
        };
        VaultAuth::AppRole {
            mount: "approle".into(),
            role_id_file: file(
                "role-id",
                self.bao.root("GET", "auth/approle/role/hushfs/role-id", &serde_json::Value::Null),
                "role_id",
            ),
            secret_id_file: file(
                "secret-id",
                self.bao.root("POST", "auth/approle/role/hushfs/secret-id", &json!({})),
                "secret_id",
            ),
            wrapped: false,
        }
    }

    /// Whom PostgreSQL takes somebody for who has these credentials.
    fn log_in(&self, fetched: &Fetched) -> Result<String, String> {
        let text = |name: &str| String::from_utf8(key(fetched, name).to_vec()).expect("text");
        let answer = self.postgres.query(&text("username"), &text("password"), "SELECT current_user")?;
        assert_eq!(answer, text("username"));
        Ok(answer)
    }

    async fn eventually(&self, what: &str, is: impl Fn() -> bool) {
        let start = Instant::now();
        while !is() {
            assert!(start.elapsed() < Duration::from_secs(60), "never: {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn valid_for(fetched: &Fetched) -> Duration {
    fetched.lease.as_ref().expect("a lease").valid_for
}

#[test]
fn a_role_is_listed_and_looked_at_without_making_an_account_and_read_by_making_one() {
    run("1h", "24h", async |bank| {
        let provider = bank.provider(bank.token(LEAST));
        bank.postgres.fixed_role(&bank.bao, "legacy", "1h");
        let mut names: Vec<String> =
            suite::listing(&*provider).await.secrets.iter().map(|it| it.name.to_string()).collect();
        names.sort();
        assert_eq!(names, ["app", "legacy"]);
        for (name, there) in [("app", Known::Yes), ("legacy", Known::Yes), ("none", Known::No), ("a/b", Known::No)] {
            let presence = suite::look(&*provider, name).await;
            assert_eq!((presence.secret, presence.children), (there, Known::No), "{name}");
        }
        let asked = ["app", "none"].map(suite::name);
        let permissions = provider.permissions(None, &asked).await.expect("an answer");
        assert!(permissions.iter().all(|it| it.read == Known::Yes), "{permissions:?}");
        assert_eq!(bank.postgres.roles(), ["legacy"], "nothing was asked for");

        let first = suite::current(&*provider, "app").await;
        let user = bank.log_in(&first).expect("PostgreSQL takes what was read");
        assert_eq!(bank.postgres.roles().len(), 2);
        assert!(valid_for(&first) > Duration::from_secs(3000) && valid_for(&first) <= Duration::from_secs(3600));
        assert!(first.created.is_some() && first.source.ends_with("/v1/database/creds/app"));
        let [id] = &leases(&bank.bao, "app")[..] else { panic!("not one lease") };
        assert!(!first.version.contains(id.rsplit('/').next().expect("an id")), "the version is no lease id");

        // As long as anybody has them, they are everybody's.
        let named = VersionSelector::Named(first.version.clone());
        for version in [&VersionSelector::Current, &named] {
            let again = suite::fetch(&*provider, "app", version).await;
            assert_eq!((bank.log_in(&again), &again.version), (Ok(user.clone()), &first.version));
        }
        assert_eq!(bank.proxy.calls(CREDS), 1);
        for version in [VersionSelector::Previous, VersionSelector::Named("0123456789abcdef".into())] {
            expect_error(provider.fetch(&suite::name("app"), &version).await, ErrorKind::NotFound);
        }
        expect_error(provider.fetch(&suite::name("none"), &VersionSelector::Current).await, ErrorKind::NotFound);
        assert_eq!(bank.proxy.calls(CREDS), 1, "a version is never a reason for another account");

        // Once nobody has them they are forgotten, and the next reader has others.
        drop(first);
        let second = suite::current(&*provider, "app").await;
        assert_ne!(bank.log_in(&second), Ok(user));
    });
}

#[test]
fn many_readers_at_once_make_one_account() {
    run("1h", "24h", async |bank| {
        let provider = bank.provider(bank.token(LEAST));
        let mut readers = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let provider = Arc::clone(&provider);
            readers.spawn(async move { suite::current(&*provider, "app").await });
        }
        let read = readers.join_all().await;
        assert!(read.iter().all(|it| it.version == read[0].version));
        assert_eq!((bank.proxy.calls(CREDS), bank.postgres.roles().len()), (1, 1));
    });
}

#[test]
fn a_reader_that_leaves_too_soon_leaves_its_credentials_to_the_next() {
    run("1h", "24h", async |bank| {
        let provider = bank.provider(bank.token(LEAST));
        bank.proxy.set(CREDS, Fault::Delay(Duration::from_millis(300)));
        let asked = async {
            while bank.proxy.calls(CREDS) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            biased;
            () = asked => {}
            _ = suite::current(&*provider, "app") => panic!("answered before it could be"),
        }
        let read = suite::current(&*provider, "app").await;
        bank.log_in(&read).expect("a login");
        assert_eq!((bank.proxy.calls(CREDS), bank.postgres.roles().len()), (1, 1));
    });
}

#[test]
fn a_lease_is_renewed_until_it_cannot_be_and_then_others_come_while_it_still_serves() {
    run("20s", "26s", async |bank| {
        let provider = bank.provider(bank.token(LEAST));
        let first = suite::current(&*provider, "app").await;
        let user = bank.log_in(&first).expect("a login");
        for _ in 0..2 {
            assert_eq!(suite::current(&*provider, "app").await.version, first.version);
        }
        // Renewals end after 26 s, and others come when less than a third of 20 s is left until then.
        let other = loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let next = suite::current(&*provider, "app").await;
            if next.version != first.version {
                break next;
            }
        };
        assert!(bank.proxy.calls(RENEW) >= 2, "{} renewals", bank.proxy.calls(RENEW));
        assert_eq!(bank.proxy.calls(CREDS), 2);
        assert_eq!(bank.log_in(&first), Ok(user.clone()), "the old ones serve when the new ones are there");
        assert_ne!(bank.log_in(&other), Ok(user.clone()));
        bank.eventually("the old account goes by itself", || !bank.postgres.roles().contains(&user)).await;
    });
}

#[test]
fn a_lease_that_somebody_revokes_is_noticed_when_it_is_asked_for_again() {
    run("1h", "24h", async |bank| {
        let provider = bank.provider(bank.token(LEAST));
        let first = suite::current(&*provider, "app").await;
        for id in leases(&bank.bao, "app") {
            bank.bao.root("POST", "sys/leases/revoke", &json!({"lease_id": id, "sync": true}));
        }
        let second = suite::current(&*provider, "app").await;
        assert_ne!(first.version, second.version);
        bank.log_in(&second).expect("a login");
        assert!(bank.log_in(&first).is_err());
    });
}

#[test]
fn while_the_server_is_silent_nothing_new_is_told_of_a_lease() {
    run("1h", "24h", async |bank| {
        let provider = bank.provider(bank.token(LEAST));
        let first = suite::current(&*provider, "app").await;
        bank.proxy.set(RENEW, Fault::HangUp);
        expect_error(provider.fetch(&suite::name("app"), &VersionSelector::Current).await, ErrorKind::Unreachable);
        bank.proxy.set(RENEW, Fault::Pass);
        assert_eq!(suite::current(&*provider, "app").await.version, first.version);
    });
}

#[test]
fn a_token_that_may_not_renew_uses_its_lease_to_the_last_third() {
    run("20s", "24h", async |bank| {
        let rules = r#"path "database/creds/*" { capabilities = ["read"] }
            path "sys/leases/renew" { capabilities = ["deny"] }"#;
        let provider = bank.provider(bank.token(rules));
        let first = suite::current(&*provider, "app").await;
        let mut last = suite::current(&*provider, "app").await;
        assert_eq!(first.version, last.version);
        while last.version == first.version {
            assert!(valid_for(&last) > Duration::from_secs(1), "served almost to its end: {:?}", valid_for(&last));
            tokio::time::sleep(Duration::from_millis(100)).await;
            last = suite::current(&*provider, "app").await;
        }
        assert_eq!(bank.proxy.calls(RENEW), 1, "a refusal is remembered");
    });
}

#[test]
fn credentials_of_a_token_that_ends_are_replaced_by_those_of_another_login() {
    run("1h", "24h", async |bank| {
        let auth = bank.approle(LEAST, json!({"token_ttl": "20s", "token_max_ttl": "20s"}));
        let provider = bank.provider(auth);
        let first = suite::current(&*provider, "app").await;
        assert!(valid_for(&first) <= Duration::from_secs(20), "they end with their token");
        let mut last = suite::current(&*provider, "app").await;
        while last.version == first.version {
            tokio::time::sleep(Duration::from_millis(100)).await;
            last = suite::current(&*provider, "app").await;
        }
        bank.log_in(&last).expect("a login");
        assert_eq!(bank.proxy.calls("POST /v1/auth/approle/login"), 2);
    });
}

#[test]
fn a_static_role_has_one_account_whose_password_is_good_until_it_is_changed() {
    run("1h", "24h", async |bank| {
        bank.postgres.fixed_role(&bank.bao, "legacy", "1h");
        let provider = bank.provider(bank.token(LEAST));
        let first = suite::current(&*provider, "legacy").await;
        assert_eq!(bank.log_in(&first).as_deref(), Ok("legacy"));
        assert!(valid_for(&first) <= Duration::from_secs(3600));
        assert!(first.payload.keys.as_ref().expect("keys").iter().all(|(name, _)| name != "ttl"));
        let again = suite::current(&*provider, "legacy").await;
        assert_eq!(again.version, first.version);
        bank.bao.root("POST", "database/rotate-role/legacy", &json!({}));
        let second = suite::current(&*provider, "legacy").await;
        assert_ne!(second.version, first.version);
        assert_eq!(bank.log_in(&second).as_deref(), Ok("legacy"));
        assert!(bank.log_in(&first).is_err());
        let named = provider.fetch(&suite::name("legacy"), &VersionSelector::Named(first.version.clone())).await;
        expect_error(named, ErrorKind::NotFound);
        assert!(second.source.ends_with("/v1/database/static-creds/legacy"));

        // A policy may allow that kind only; and a role of the other kind is then refused, not missing.
        let rules = r#"path "database/static-creds/*" { capabilities = ["read"] }"#;
        let narrow = bank.provider(bank.token(rules));
        bank.log_in(&suite::current(&*narrow, "legacy").await).expect("a login");
        expect_error(narrow.fetch(&suite::name("app"), &VersionSelector::Current).await, ErrorKind::Denied);
        expect_error(narrow.list().await, ErrorKind::Denied);
        assert_eq!(suite::look(&*narrow, "app").await.secret, Known::Unknown);
        assert_eq!(bank.postgres.roles(), ["legacy"]);
    });
}

#[test]
fn closing_gives_leases_back_and_revokes_no_token_that_is_the_users() {
    run("1h", "24h", async |bank| {
        bank.postgres.role(&bank.bao, "other", "1h", "24h");
        let auth = bank.token(LEAST);
        let provider = bank.provider(auth.clone());
        drop(suite::current(&*provider, "app").await);
        let held = [suite::current(&*provider, "app").await, suite::current(&*provider, "other").await];
        assert_eq!(bank.postgres.roles().len(), 3);
        provider.close().await.expect("all is given back");
        bank.eventually("the accounts are gone", || bank.postgres.roles().is_empty()).await;
        assert!(bank.log_in(&held[0]).is_err());
        // The token is as good as before, and the provider too.
        let again = suite::current(&*provider, "app").await;
        bank.log_in(&again).expect("a login");
        assert_ne!(again.version, held[0].version);

        let narrow = r#"path "database/creds/*" { capabilities = ["read"] }"#;
        let careless = bank.provider(bank.token(narrow));
        let _held = suite::current(&*careless, "app").await;
        let error = expect_error(careless.close().await, ErrorKind::Denied);
        assert!(error.detail.contains("sys/leases/revoke"), "{error}");
    });
}

#[test]
fn closing_revokes_a_token_that_we_logged_in_for_and_all_that_was_lent_to_it() {
    run("1h", "24h", async |bank| {
        let rules = r#"path "database/creds/*" { capabilities = ["read"] }"#;
        let provider = bank.provider(bank.approle(rules, json!({})));
        let read = suite::current(&*provider, "app").await;
        let accessors = || {
            let (_, answer) = bank.bao.ask("LIST", "auth/token/accessors", ROOT, None).expect("an answer");
            answer["data"]["keys"].as_array().expect("accessors").len()
        };
        let before = accessors();
        provider.close().await.expect("all is given back");
        assert_eq!(accessors(), before - 1);
        bank.eventually("the account is gone", || bank.postgres.roles().is_empty()).await;
        assert!(bank.log_in(&read).is_err());
        assert_eq!(bank.proxy.calls("POST /v1/sys/leases/revoke"), 0);
        bank.log_in(&suite::current(&*provider, "app").await).expect("a login");
    });
}

#[test]
fn a_mount_that_is_another_engine_is_named() {
    run("1h", "24h", async |bank| {
        let auth = || VaultAuth::Token { file: Some(bank.bao.file("root-token", ROOT)) };
        let wrong = [
            (VaultEngine::Leased(LeasedEngine::Rabbitmq), "database", "rabbitmq"),
            (VaultEngine::Kv(KvVersion::One), "sys", "`kv`"),
        ];
        bank.bao.root("DELETE", "database/roles/app", &serde_json::Value::Null);
        for (engine, mount, says) in wrong {
            let error = expect_error(bank.provider_of(engine, mount, auth()).list().await, ErrorKind::Malformed);
            assert!(error.detail.contains(says), "{error}");
        }
        assert!(suite::listing(&*bank.provider(auth())).await.secrets.is_empty(), "an engine without roles is empty");
    });
}
