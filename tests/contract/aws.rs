//! AWS Secrets Manager, on MiniStack with IAM enforced.

use std::path::Path;
use std::time::Duration;

use hushfs::config::{
    AssumeRole, AwsSecretsManagerSettings, AwsSettings, CacheSettings, Format, ProviderSettings, Scope, ScopeName,
};
use hushfs::provider::{ErrorKind, Known, VersionSelector};

use crate::suite::{self, Abilities, Fixture, MARK, expect_error};
use crate::support::aws::Account;
use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::own_process;
use crate::test_name;

/// A scope with a prefix, in an account that has a secret beside it.
pub struct Aws {
    pub account: Account,
    /// Between the provider and the service.
    pub proxy: FaultProxy,
}

const PREFIX: &str = "prod/";

/// Runs `body` with an account of its own, in a process of its own.
pub fn run(test: &str, body: impl AsyncFnOnce(Aws)) {
    own_process::run(test, |folder: &Path| {
        let account = Account::start(folder);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(async {
            account.create("beside", MARK.as_bytes()).await;
            account.create("not-prod/beside", MARK.as_bytes()).await;
            let proxy = FaultProxy::start(account.server.address());
            body(Aws { account, proxy }).await;
        });
    });
}

contract!(run);

impl Fixture for Aws {
    fn scope(&self) -> Scope {
        self.scope_as("root", |_| {})
    }

    async fn put(&self, name: &str, bytes: &[u8]) {
        self.account.create(&format!("{PREFIX}{name}"), bytes).await;
    }

    async fn put_all(&self, names: &[String], bytes: &[u8]) {
        for name in names {
            self.put(name, bytes).await;
        }
    }

    async fn rotate(&self, name: &str, bytes: &[u8]) {
        self.account.rotate(&format!("{PREFIX}{name}"), bytes).await;
    }

    async fn delete(&self, name: &str) {
        self.account.delete(&format!("{PREFIX}{name}")).await;
    }

    fn abilities(&self) -> Abilities {
        Abilities { empty_values: false, versions: true }
    }

    fn set_fault(&self, fault: Fault) -> bool {
        self.proxy.set("*", fault);
        true
    }

    fn with_bad_credentials(&self) -> Option<Scope> {
        self.account.profile("nobody", ("AKIAIOSFODNN7EXAMPLE", "wrong"), &self.account.server.url());
        Some(self.scope_as("nobody", |_| {}))
    }
}

impl Aws {
    pub fn scope_as(&self, profile: &str, change: impl FnOnce(&mut AwsSettings)) -> Scope {
        let mut aws = AwsSettings {
            region: Some("us-east-1".into()),
            profile: Some(profile.into()),
            endpoint_url: Some(self.proxy.url()),
            ..AwsSettings::default()
        };
        change(&mut aws);
        let settings = AwsSecretsManagerSettings { aws, prefix: PREFIX.into() };
        Scope {
            name: ScopeName::new("prod").expect("a scope's name"),
            // Long, so that a slow machine fails nothing; tests of the timeout set their own.
            cache: CacheSettings { timeout: Duration::from_secs(60), ..CacheSettings::default() },
            format: Format::Auto,
            provider: ProviderSettings::AwsSecretsManager(settings),
        }
    }

    /// A provider with the keys of a new user that has these IAM statements.
    pub fn provider_as(&self, user: &str, statements: &str) -> std::sync::Arc<dyn hushfs::provider::Provider> {
        let (id, secret) = self.account.server.user(user, &policy(statements));
        self.account.profile(user, (&id, &secret), &self.account.server.url());
        suite::build(self.scope_as(user, |_| {}))
    }
}

pub fn policy(statements: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#)
}

pub fn allow(actions: &str, resource: &str) -> String {
    format!(r#"{{"Effect":"Allow","Action":{actions},"Resource":"{resource}"}}"#)
}

pub const SECRETS: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:prod";

#[test]
fn an_iam_refusal_is_denied() {
    run(test_name!(), async |aws| {
        aws.put("mine", MARK.as_bytes()).await;
        aws.put("other", MARK.as_bytes()).await;
        let only = allow(r#""secretsmanager:GetSecretValue""#, &format!("{SECRETS}/mine-*"));
        let provider = aws.provider_as("reader", &only);
        assert!(suite::current(&*provider, "mine").await.payload.raw.expose() == MARK.as_bytes());
        let fetched = provider.fetch(&suite::name("other"), &VersionSelector::Current).await;
        let error = expect_error(fetched, ErrorKind::Denied);
        assert!(error.detail.contains("prod/other") && error.detail.contains("AccessDenied"), "{error}");
        expect_error(provider.list().await, ErrorKind::Denied);
        // Neither description nor listing is allowed: unknown, and not an error.
        let presence = suite::look(&*provider, "mine").await;
        assert_eq!((presence.secret, presence.children), (Known::Unknown, Known::Unknown));
    });
}

#[test]
fn a_look_says_what_iam_lets_it_know() {
    run(test_name!(), async |aws| {
        aws.put("db", MARK.as_bytes()).await;
        aws.put("db/child", MARK.as_bytes()).await;
        let describe = aws.provider_as("describer", &allow(r#""secretsmanager:DescribeSecret""#, "*"));
        let presence = suite::look(&*describe, "db").await;
        assert_eq!((presence.secret, presence.children), (Known::Yes, Known::Unknown));
        let list = aws.provider_as("lister", &allow(r#""secretsmanager:ListSecrets""#, "*"));
        let presence = suite::look(&*list, "db").await;
        assert_eq!((presence.secret, presence.children), (Known::Unknown, Known::Yes));
    });
}

#[test]
fn credentials_that_aws_refuses_are_credentials_rejected() {
    run(test_name!(), async |aws| {
        aws.put("db", MARK.as_bytes()).await;
        let (id, _) = aws.account.server.user("u", &policy(&allow(r#""*""#, "*")));
        aws.account.profile("wrong-secret", (&id, "wrong"), &aws.account.server.url());
        aws.account.profile("no-such-key", ("AKIAIOSFODNN7EXAMPLE", "wrong"), &aws.account.server.url());
        for profile in ["wrong-secret", "no-such-key"] {
            let provider = suite::build(aws.scope_as(profile, |_| {}));
            let fetched = provider.fetch(&suite::name("db"), &VersionSelector::Current).await;
            expect_error(fetched, ErrorKind::CredentialsRejected);
            expect_error(provider.list().await, ErrorKind::CredentialsRejected);
            expect_error(provider.look(&suite::name("db")).await, ErrorKind::CredentialsRejected);
        }
        assert!(aws.proxy.all_calls() > 0);
    });
}

#[test]
fn no_credentials_are_credentials_rejected_and_nothing_is_sent() {
    run(test_name!(), async |aws| {
        aws.account.raw_profile("[profile empty]\nregion = us-east-1\n");
        for profile in ["empty", "not-in-the-file"] {
            let provider = suite::build(aws.scope_as(profile, |_| {}));
            let fetched = provider.fetch(&suite::name("db"), &VersionSelector::Current).await;
            expect_error(fetched, ErrorKind::CredentialsRejected);
            expect_error(provider.list().await, ErrorKind::CredentialsRejected);
        }
        assert_eq!(aws.proxy.all_calls(), 0);
    });
}

#[test]
fn a_region_and_credentials_that_appear_later_are_used() {
    run(test_name!(), async |aws| {
        aws.put("db", MARK.as_bytes()).await;
        let provider = suite::build(aws.scope_as("later", |settings| settings.region = None));
        let error = expect_error(provider.list().await, ErrorKind::Malformed);
        assert!(error.detail.contains("region"), "{error}");
        aws.account.raw_profile("[profile later]\nregion = us-east-1\n");
        expect_error(provider.list().await, ErrorKind::CredentialsRejected);
        aws.account.raw_profile("aws_access_key_id = test\naws_secret_access_key = test\n");
        assert_eq!(suite::listing(&*provider).await.secrets.len(), 1);
    });
}

#[test]
fn keys_that_were_replaced_in_the_profile_are_picked_up() {
    run(test_name!(), async |aws| {
        aws.put("db", MARK.as_bytes()).await;
        aws.account.profile("changing", ("AKIAIOSFODNN7EXAMPLE", "old"), &aws.account.server.url());
        let provider = suite::build(aws.scope_as("changing", |_| {}));
        expect_error(provider.list().await, ErrorKind::CredentialsRejected);
        // Later sections of the same name win.
        aws.account.profile("changing", ("test", "test"), &aws.account.server.url());
        assert_eq!(suite::listing(&*provider).await.secrets.len(), 1);
    });
}

#[test]
fn a_role_is_assumed_with_its_external_id_and_not_without() {
    run(test_name!(), async |aws| {
        aws.put("db", MARK.as_bytes()).await;
        let server = &aws.account.server;
        let (id, secret) = server.user("base", &policy(&allow(r#""sts:AssumeRole""#, "*")));
        let trust = r#"{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:user/base"},
            "Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"let-me-in"}}}"#;
        let role_arn = server.role("reader", &policy(trust), &policy(&allow(r#""secretsmanager:*""#, "*")));
        aws.account.profile("base", (&id, &secret), &aws.proxy.url());

        let assume = |external_id: Option<&str>| {
            let role = AssumeRole { role_arn: role_arn.clone(), external_id: external_id.map(str::to_owned) };
            suite::build(aws.scope_as("base", |settings| settings.assume_role = Some(role)))
        };
        let provider = assume(Some("let-me-in"));
        assert!(suite::current(&*provider, "db").await.payload.raw.expose() == MARK.as_bytes());
        suite::current(&*provider, "db").await;
        assert_eq!(aws.proxy.calls("AssumeRole"), 1, "the role's credentials are kept");

        for wrong in [None, Some("wrong")] {
            let fetched = assume(wrong).fetch(&suite::name("db"), &VersionSelector::Current).await;
            expect_error(fetched, ErrorKind::CredentialsRejected);
        }
        // Without the role the user may read nothing.
        let bare = suite::build(aws.scope_as("base", |_| {}));
        expect_error(bare.fetch(&suite::name("db"), &VersionSelector::Current).await, ErrorKind::Denied);
    });
}

#[test]
fn a_version_is_found_by_its_staging_label() {
    run(test_name!(), async |aws| {
        aws.put("db", b"first").await;
        aws.rotate("db", b"second").await;
        let provider = suite::provider(&aws);
        for (label, value) in [("AWSCURRENT", "second"), ("AWSPREVIOUS", "first")] {
            let fetched = suite::fetch(&*provider, "db", &VersionSelector::Named(label.into())).await;
            assert!(fetched.payload.raw.expose() == value.as_bytes(), "{label}");
        }
    });
}

#[test]
fn tags_come_along_without_a_call_of_their_own() {
    run(test_name!(), async |aws| {
        aws.put("db", MARK.as_bytes()).await;
        aws.account.tag("prod/db", "team", "data").await;
        let provider = suite::provider(&aws);
        suite::listing(&*provider).await;
        aws.proxy.forget_calls();
        let fetched = suite::current(&*provider, "db").await;
        assert_eq!(fetched.tags, [("team".to_owned(), "data".to_owned())]);
        assert!(fetched.source.contains(":secret:prod/db-"), "{}", fetched.source);
        assert_eq!(aws.proxy.all_calls(), 1);
    });
}

#[test]
fn a_name_that_cannot_exist_costs_no_call() {
    run(test_name!(), async |aws| {
        let provider = suite::provider(&aws);
        // An ARN would otherwise reach a secret outside of the prefix.
        for name in ["a:b", "a b", "arn:aws:secretsmanager:us-east-1:000000000000:secret:beside"] {
            expect_error(provider.fetch(&suite::name(name), &VersionSelector::Current).await, ErrorKind::NotFound);
            assert_eq!(suite::look(&*provider, name).await.secret, Known::No);
        }
        assert_eq!(aws.proxy.all_calls(), 0);
    });
}

#[test]
fn a_configuration_that_is_a_fifo_is_not_waited_for_and_one_that_is_no_file_of_text_does_no_harm() {
    run(test_name!(), async |aws| {
        let file = |name| std::env::var(name).expect("the file of this process");
        let (config, credentials) = (file("AWS_CONFIG_FILE"), file("AWS_SHARED_CREDENTIALS_FILE"));
        std::os::unix::fs::symlink("/dev/null", credentials).expect("a link");
        let aside = format!("{config}-aside");
        std::fs::rename(&config, &aside).expect("the file");
        assert!(std::process::Command::new("mkfifo").arg(&config).status().expect("mkfifo runs").success());
        let provider = suite::provider(&aws);
        for _ in 0..3 {
            let error = expect_error(provider.list().await, ErrorKind::CredentialsRejected);
            assert!(error.detail.contains(&config), "{error}");
        }
        std::fs::rename(&aside, &config).expect("the file");
        suite::listing(&*provider).await;
    });
}

#[test]
fn odd_profiles_are_errors_and_never_a_panic() {
    run(test_name!(), async |aws| {
        let keys = "aws_access_key_id = test\naws_secret_access_key = test\n";
        let odd = [
            "region = us east 1",
            "region = ../..",
            "region = é",
            "region = us-east-1\nendpoint_url = not a url",
            "region = us-east-1\nendpoint_url = http://",
            "region = us-east-1\nendpoint_url = http://127.0.0.1:99999",
            "region = us-east-1\nendpoint_url = ftp://127.0.0.1",
            "region = us-east-1\nendpoint_url = http://127.0.0.1:1\nsource_profile = odd0\nrole_arn = arn:nonsense",
            "region = us-east-1\nendpoint_url = http://127.0.0.1:1\ncredential_process = /nonexistent/program",
            "region = us-east-1\nendpoint_url = http://127.0.0.1:1\nmax_attempts = many\nretry_mode = never",
            "region",
        ];
        for (number, lines) in odd.iter().enumerate() {
            let profile = format!("odd{number}");
            aws.account.raw_profile(&format!("[profile {profile}]\n{keys}{lines}\n"));
            let mut scope = aws.scope_as(&profile, |settings| {
                settings.region = None;
                settings.endpoint_url = None;
            });
            scope.cache.timeout = Duration::from_secs(2);
            let provider = suite::build(scope);
            let Err(error) = provider.list().await else { panic!("{lines}: answered") };
            eprintln!("{lines:?}: {} {error}", error.kind.as_str());
            assert_ne!(error.kind, ErrorKind::NotFound, "{lines}: {error}");
            assert!(!error.detail.contains("Request {"), "{lines}: {error}");
        }
    });
}

#[test]
fn a_server_is_trusted_by_the_ca_file_and_by_nothing_else() {
    run(test_name!(), async |aws| {
        aws.put("db", MARK.as_bytes()).await;
        let tls = crate::support::tls::Terminator::start(aws.account.server.address());
        let build = |ca_file| {
            suite::build(aws.scope_as("root", |settings| {
                settings.endpoint_url = Some(tls.url());
                settings.ca_file = ca_file;
            }))
        };
        let trusting = build(Some(tls.ca_file()));
        assert!(suite::current(&*trusting, "db").await.payload.raw.expose() == MARK.as_bytes());
        let wary = build(None);
        let error = expect_error(wary.list().await, ErrorKind::Unreachable);
        assert!(error.detail.contains("certificate"), "{error}");
        expect_error(build(Some("/nonexistent/ca.pem".into())).list().await, ErrorKind::Malformed);
    });
}
