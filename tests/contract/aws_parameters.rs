//! AWS Parameter Store, on MiniStack with IAM enforced.
//!
//! What the suite calls a secret is a parameter directly in the scope's path, or a directory below it with the one
//! parameter `value`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_ssm::types::ParameterType;
use hushfs::config::{
    AwsParameterStoreSettings, AwsSettings, CacheSettings, Format, ProviderSettings, Scope, ScopeName,
};
use hushfs::provider::{ErrorKind, Fetched, Known, Provider, VersionSelector};

use crate::aws::{allow, policy};
use crate::suite::{self, Abilities, Fixture, MARK, expect_error};
use crate::support::aws::Account;
use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::own_process;
use crate::test_name;

/// A scope with a path, in an account that has parameters beside it.
pub struct Parameters {
    pub account: Account,
    /// Between the provider and the service.
    pub proxy: FaultProxy,
}

const PATH: &str = "/app/prod/";

/// Runs `body` with an account of its own, in a process of its own.
pub fn run(test: &str, body: impl AsyncFnOnce(Parameters)) {
    own_process::run(test, |folder: &Path| {
        let account = Account::start(folder);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(async {
            for beside in ["/app/prod", "/app/production/x", "/app/other", "/other/app/prod/x", "no-slash"] {
                account.put_secure(beside, MARK).await;
            }
            let proxy = FaultProxy::start(account.server.address());
            body(Parameters { account, proxy }).await;
        });
    });
}

contract!(run);

impl Fixture for Parameters {
    fn scope(&self) -> Scope {
        self.scope_as("root", |_| {})
    }

    async fn put(&self, name: &str, bytes: &[u8]) {
        let value = std::str::from_utf8(bytes).expect("text");
        self.account.put_secure(&parameter(name), value).await;
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
        self.account.delete_parameter(&parameter(name)).await;
    }

    fn abilities(&self) -> Abilities {
        Abilities { empty_values: false, versions: true }
    }

    fn spell(&self, name: &str) -> String {
        name.replace(['@', '=', '+'], "-")
    }

    fn holds_binary(&self) -> bool {
        false
    }

    /// A standard parameter has 4 KiB.
    fn largest(&self) -> usize {
        4096
    }

    fn bytes<'a>(&self, fetched: &'a Fetched) -> &'a [u8] {
        match fetched.payload.keys.as_deref() {
            Some([(key, value)]) if key == "value" => value.expose(),
            _ => panic!("other keys than `value`"),
        }
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

fn parameter(name: &str) -> String {
    if name.contains('/') { format!("{PATH}{name}/value") } else { format!("{PATH}{name}") }
}

impl Parameters {
    pub fn scope_as(&self, profile: &str, change: impl FnOnce(&mut AwsParameterStoreSettings)) -> Scope {
        let aws = AwsSettings {
            region: Some("us-east-1".into()),
            profile: Some(profile.into()),
            endpoint_url: Some(self.proxy.url()),
            ..AwsSettings::default()
        };
        let mut settings = AwsParameterStoreSettings { aws, path: PATH.into() };
        change(&mut settings);
        Scope {
            name: ScopeName::new("params").expect("a scope's name"),
            // Long, so that a slow machine fails nothing; tests of the timeout set their own.
            cache: CacheSettings { timeout: Duration::from_secs(60), ..CacheSettings::default() },
            format: Format::Auto,
            provider: ProviderSettings::AwsParameterStore(settings),
        }
    }

    pub fn at_path(&self, path: &str) -> Arc<dyn Provider> {
        suite::build(self.scope_as("root", |settings| settings.path = path.into()))
    }

    /// A provider with the keys of a new user that has these IAM statements.
    pub fn provider_as(&self, user: &str, statements: &str) -> Arc<dyn Provider> {
        let (id, secret) = self.account.server.user(user, &policy(statements));
        self.account.profile(user, (&id, &secret), &self.account.server.url());
        suite::build(self.scope_as(user, |_| {}))
    }

    pub async fn put_key(&self, name: &str, value: &str) -> i64 {
        self.account.put_secure(&format!("{PATH}{name}"), value).await
    }

    async fn label(&self, name: &str, version: i64, label: &str) {
        let request = self.account.parameters.label_parameter_version().name(format!("{PATH}{name}"));
        request.parameter_version(version).labels(label).send().await.expect("a label");
    }
}

pub fn texts(fetched: &Fetched) -> Vec<(&str, &str)> {
    let keys = fetched.payload.keys.as_deref().expect("keys");
    keys.iter().map(|(key, value)| (key.as_str(), std::str::from_utf8(value.expose()).unwrap())).collect()
}

fn named(version: &str) -> VersionSelector {
    VersionSelector::Named(version.into())
}

#[test]
fn the_parameters_of_a_directory_are_its_keys_whatever_their_type() {
    run(test_name!(), async |aws| {
        aws.put_key("db/PASSWORD", &format!("{MARK} secure\n")).await;
        for (name, value, kind) in [
            ("db/HOSTS", "a,b, c", ParameterType::StringList),
            ("db/USER", r#"{"not":"split"}"#, ParameterType::String),
        ] {
            aws.account.put_parameter(&format!("{PATH}{name}"), value, kind).await;
        }
        aws.put_key("db/below/KEY", "another secret's").await;
        let provider = suite::provider(&aws);
        let fetched = suite::current(&*provider, "db").await;
        let password = format!("{MARK} secure\n");
        assert_eq!(texts(&fetched), [("HOSTS", "a,b, c"), ("PASSWORD", &*password), ("USER", r#"{"not":"split"}"#)]);
        assert_eq!(fetched.source, "arn:aws:ssm:us-east-1:000000000000:parameter/app/prod/db");
        let raw: serde_json::Value = serde_json::from_slice(fetched.payload.raw.expose()).unwrap();
        assert_eq!(raw["HOSTS"], "a,b, c");
    });
}

#[test]
fn a_listing_has_no_value_and_fifty_parameters_a_call() {
    run(test_name!(), async |aws| {
        for number in 0..120 {
            aws.put_key(&format!("d{}/k{number:03}", number / 60), MARK).await;
        }
        let provider = suite::provider(&aws);
        let listing = suite::listing(&*provider).await;
        let names: Vec<_> = listing.secrets.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["d0", "d1"]);
        assert_eq!((aws.proxy.calls("DescribeParameters"), aws.proxy.all_calls()), (3, 3));
        assert_eq!(texts(&suite::current(&*provider, "d1").await).len(), 60);
        assert_eq!(aws.proxy.calls("GetParametersByPath"), 6, "ten at a time");
    });
}

#[test]
fn a_look_counts_what_is_directly_there_and_gives_up_on_the_rest() {
    run(test_name!(), async |aws| {
        for number in 0..300 {
            aws.put_key(&format!("large/k{number:03}"), MARK).await;
        }
        let provider = suite::provider(&aws);
        let presence = suite::look(&*provider, "large").await;
        assert_eq!((presence.secret, presence.children), (Known::Yes, Known::Unknown));
        assert!(aws.proxy.all_calls() <= 6, "{}", aws.proxy.all_calls());
    });
}

#[test]
fn one_call_reads_a_directory_and_one_a_parameter_once_it_is_known_what_is_there() {
    run(test_name!(), async |aws| {
        aws.put_key("db/A", "a").await;
        aws.put_key("db/B", "b").await;
        aws.put_key("lone", "c").await;
        aws.put_key("deep/er/C", "d").await;
        let provider = suite::provider(&aws);
        suite::listing(&*provider).await;
        for (name, call) in
            [("db", "GetParametersByPath"), ("lone", "GetParameter"), ("deep/er", "GetParametersByPath")]
        {
            aws.proxy.forget_calls();
            suite::current(&*provider, name).await;
            assert_eq!((aws.proxy.calls(call), aws.proxy.all_calls()), (1, 1), "{name}");
        }
        // What was one thing when it was listed may be another now.
        aws.account.delete_parameter("/app/prod/lone").await;
        aws.put_key("lone/KEY", "now a directory").await;
        assert_eq!(texts(&suite::current(&*provider, "lone").await), [("KEY", "now a directory")]);
        aws.account.delete_parameter("/app/prod/db/A").await;
        aws.account.delete_parameter("/app/prod/db/B").await;
        aws.put_key("db", "now a parameter").await;
        assert_eq!(texts(&suite::current(&*provider, "db").await), [("value", "now a parameter")]);
    });
}

#[test]
fn a_parameter_and_a_directory_of_one_name_are_one_secret() {
    run(test_name!(), async |aws| {
        aws.put_key("db", "own").await;
        aws.put_key("db/USER", "app").await;
        for listed in [false, true] {
            let provider = suite::provider(&aws);
            if listed {
                suite::listing(&*provider).await;
            }
            let fetched = suite::current(&*provider, "db").await;
            assert_eq!(texts(&fetched), [("value", "own"), ("USER", "app")]);
            assert!(fetched.version.starts_with("2-"), "{}", fetched.version);
        }
    });
}

#[test]
fn below_the_root_a_name_without_a_slash_is_found_as_well() {
    run(test_name!(), async |aws| {
        let provider = aws.at_path("/");
        assert_eq!(texts(&suite::current(&*provider, "no-slash").await), [("value", MARK)]);
        assert_eq!(suite::look(&*provider, "no-slash").await.secret, Known::Yes);
        let listing = suite::listing(&*provider).await;
        let names: Vec<_> = listing.secrets.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["app", "app/production", "no-slash", "other/app/prod"]);
        assert_eq!(texts(&suite::current(&*provider, "app").await), [("other", MARK), ("prod", MARK)]);
    });
}

#[test]
fn a_directory_has_a_version_that_is_another_once_any_of_its_parameters_is() {
    run(test_name!(), async |aws| {
        aws.put_key("db/A", "a").await;
        aws.put_key("db/B", "b").await;
        let provider = suite::provider(&aws);
        let mut seen = vec![suite::current(&*provider, "db").await.version];
        assert_eq!(suite::current(&*provider, "db").await.version, seen[0]);
        let same = suite::fetch(&*provider, "db", &named(&seen[0])).await;
        assert_eq!(same.version, seen[0], "what @current names is there while it is the current one");
        aws.put_key("db/A", "a2").await;
        seen.push(suite::current(&*provider, "db").await.version);
        aws.put_key("db/C", "c").await;
        seen.push(suite::current(&*provider, "db").await.version);
        aws.account.delete_parameter("/app/prod/db/C").await;
        aws.put_key("db/C", "made anew, and version 1 again").await;
        seen.push(suite::current(&*provider, "db").await.version);
        let mut distinct = seen.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), 4, "{seen:?}");
        expect_error(provider.fetch(&suite::name("db"), &named(&seen[0])).await, ErrorKind::NotFound);
    });
}

#[test]
fn a_number_or_a_label_picks_of_each_parameter_its_own_version() {
    run(test_name!(), async |aws| {
        for number in 0..12 {
            aws.put_key(&format!("db/K{number:02}"), "first").await;
        }
        aws.put_key("db/K00", "second").await;
        aws.put_key("db/K01", "second").await;
        aws.label("db/K01", 1, "release-7").await;
        aws.label("db/K00", 2, "release-7").await;
        aws.put_key("lone", "one").await;
        aws.put_key("lone", "two").await;
        aws.label("lone", 1, "old").await;
        let provider = suite::provider(&aws);
        let fetch = async |name: &str, version: &str| suite::fetch(&*provider, name, &named(version)).await;
        let first = fetch("db", "1").await;
        assert_eq!((texts(&first).len(), first.version.as_str()), (12, "1"));
        assert!(texts(&first).iter().all(|(_, value)| *value == "first"));
        assert_eq!(texts(&fetch("db", "2").await), [("K00", "second"), ("K01", "second")]);
        assert_eq!(texts(&fetch("db", "release-7").await), [("K00", "second"), ("K01", "first")]);
        let old = fetch("lone", "old").await;
        assert_eq!((texts(&old), old.version.as_str()), (vec![("value", "one")], "1"));
        for absent in ["3", "no-such-label", "awsx", "1x", "K00:2"] {
            expect_error(provider.fetch(&suite::name("db"), &named(absent)).await, ErrorKind::NotFound);
        }
        let error =
            expect_error(provider.fetch(&suite::name("db"), &VersionSelector::Previous).await, ErrorKind::NotFound);
        assert!(error.detail.contains("directory"), "{error}");
    });
}

#[test]
fn the_values_of_a_directory_are_too_large_together() {
    run(test_name!(), async |aws| {
        aws.put_key("db/A", &"x".repeat(600)).await;
        aws.put_key("db/B", &"x".repeat(600)).await;
        let mut scope = aws.scope();
        scope.cache.max_secret_bytes = 1000;
        let provider = suite::build(scope);
        expect_error(provider.fetch(&suite::name("db"), &VersionSelector::Current).await, ErrorKind::TooLarge);
    });
}

#[test]
fn a_name_that_cannot_exist_costs_no_call() {
    run(test_name!(), async |aws| {
        let provider = suite::provider(&aws);
        // A `:` would pick a version, an ARN another account's parameter.
        for name in ["a:1", "a b", "../other/", "arn:aws:ssm:us-east-1:000000000000:parameter/app/other"] {
            expect_error(provider.fetch(&suite::name(name), &VersionSelector::Current).await, ErrorKind::NotFound);
            assert_eq!(suite::look(&*provider, name).await.secret, Known::No);
        }
        assert_eq!(aws.proxy.all_calls(), 0);
        expect_error(provider.fetch(&suite::name("../other"), &VersionSelector::Current).await, ErrorKind::NotFound);
    });
}

#[test]
fn an_iam_refusal_is_denied_and_leaves_a_look_unknown() {
    run(test_name!(), async |aws| {
        aws.put_key("mine", MARK).await;
        aws.put_key("other", MARK).await;
        aws.put_key("dir/KEY", MARK).await;
        let only = allow(r#""ssm:GetParameter""#, "arn:aws:ssm:us-east-1:000000000000:parameter/app/prod/mine");
        let provider = aws.provider_as("reader", &only);
        assert_eq!(texts(&suite::current(&*provider, "mine").await), [("value", MARK)]);
        for refused in ["other", "dir", "deep/er"] {
            let fetched = provider.fetch(&suite::name(refused), &VersionSelector::Current).await;
            let error = expect_error(fetched, ErrorKind::Denied);
            assert!(error.detail.contains(&format!("/app/prod/{refused}")), "{error}");
        }
        expect_error(provider.list().await, ErrorKind::Denied);
        let presence = suite::look(&*provider, "mine").await;
        assert_eq!((presence.secret, presence.children), (Known::Unknown, Known::Unknown));
        let presence = suite::look(&*provider, "deep/er").await;
        assert_eq!((presence.secret, presence.children), (Known::Unknown, Known::Unknown));

        // Not to be told what is there, and to read directories only.
        let by_path = aws.provider_as("by-path", &allow(r#""ssm:GetParametersByPath""#, "*"));
        assert_eq!(texts(&suite::current(&*by_path, "dir").await), [("KEY", MARK)]);
        expect_error(by_path.fetch(&suite::name("mine"), &VersionSelector::Current).await, ErrorKind::Denied);
    });
}
