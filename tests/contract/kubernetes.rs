//! Kubernetes: a real API server, asked as a service account with the rights that the documentation says are enough.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hushfs::config::{
    CacheSettings, Format, KubernetesAuth, KubernetesKind, KubernetesSettings, ProviderSettings, Scope, ScopeName,
};
use hushfs::provider::{ErrorKind, Fetched, Known, Provider, VersionSelector};
use serde_json::{Value, json};

use crate::suite::{self, Abilities, Fixture, MARK, expect_error};
use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::kubernetes::{Cluster, NAMESPACE};
use crate::support::own_process;
use crate::support::tls::Originator;
use crate::test_name;

/// A scope with a prefix, in a namespace that has Secrets beside it.
pub struct Kube {
    pub cluster: Cluster,
    /// Between the provider and the server.
    pub proxy: FaultProxy,
    _tls: Originator,
}

const PREFIX: &str = "prod-";

/// Runs `body` with a cluster of its own, in a process of its own.
pub fn run(test: &str, body: impl AsyncFnOnce(Kube)) {
    own_process::run(test, |_: &Path| {
        let cluster = Cluster::start();
        let tls = Originator::start(&cluster.ca_file(), cluster.address());
        let proxy = FaultProxy::start(tls.address());
        cluster.put("beside", &[("value", MARK.as_bytes())]);
        cluster.put("not-prod-beside", &[("value", MARK.as_bytes())]);
        cluster.allow("hushfs", "ServiceAccount/hushfs", rules());
        cluster.file("token", &cluster.token_of("hushfs"));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(body(Kube { cluster, proxy, _tls: tls }));
    });
}

/// What the documentation says is enough.
pub fn rules() -> Value {
    json!([{"apiGroups": [""], "resources": ["secrets", "configmaps"], "verbs": ["get", "list", "watch"]}])
}

contract!(run);

impl Fixture for Kube {
    fn scope(&self) -> Scope {
        self.scope_with(|_| {})
    }

    async fn put(&self, name: &str, bytes: &[u8]) {
        self.cluster.put(&format!("{PREFIX}{name}"), &[("value", bytes)]);
    }

    async fn put_all(&self, names: &[String], bytes: &[u8]) {
        // Each call waits for etcd.
        std::thread::scope(|scope| {
            for names in names.chunks(names.len().div_ceil(8)) {
                scope.spawn(move || {
                    for name in names {
                        self.cluster.put(&format!("{PREFIX}{name}"), &[("value", bytes)]);
                    }
                });
            }
        });
    }

    async fn rotate(&self, name: &str, bytes: &[u8]) {
        self.put(name, bytes).await;
    }

    async fn delete(&self, name: &str) {
        self.cluster.delete(&format!("{PREFIX}{name}"));
    }

    fn abilities(&self) -> Abilities {
        Abilities { empty_values: true, versions: false }
    }

    fn spell(&self, name: &str) -> String {
        name.replace(|c: char| !c.is_ascii_alphanumeric(), "-x")
    }

    fn has_folders(&self) -> bool {
        false
    }

    fn bytes<'a>(&self, fetched: &'a Fetched) -> &'a [u8] {
        key(fetched, "value")
    }

    fn set_fault(&self, fault: Fault) -> bool {
        self.proxy.set("*", fault);
        true
    }

    fn with_bad_credentials(&self) -> Option<Scope> {
        let token_file = self.cluster.file("bad", "no-token-of-this-cluster");
        Some(self.scope_with(|settings| settings.auth = KubernetesAuth::Token { token_file }))
    }
}

/// The bytes of one key.
pub fn key<'a>(fetched: &'a Fetched, name: &str) -> &'a [u8] {
    let keys = fetched.payload.keys.as_ref().expect("keys");
    keys.iter().find(|(key, _)| key == name).map(|(_, value)| value.expose()).expect("the key")
}

pub fn secrets(name: &str) -> String {
    format!("api/v1/namespaces/{NAMESPACE}/secrets{name}")
}

impl Kube {
    pub fn scope_with(&self, change: impl FnOnce(&mut KubernetesSettings)) -> Scope {
        let mut settings = KubernetesSettings {
            namespace: Some(NAMESPACE.into()),
            kind: KubernetesKind::Secrets,
            labels: None,
            prefix: PREFIX.into(),
            endpoint_url: Some(self.proxy.url()),
            ca_file: None,
            auth: KubernetesAuth::Token { token_file: self.cluster.folder().join("token") },
        };
        change(&mut settings);
        Scope {
            name: ScopeName::new("k8s").expect("a scope's name"),
            // Long, so that a slow machine fails nothing; tests of the timeout set their own.
            cache: CacheSettings { timeout: Duration::from_secs(60), ..CacheSettings::default() },
            format: Format::Auto,
            provider: ProviderSettings::Kubernetes(settings),
        }
    }

    /// A provider as a service account that may do what the rules say.
    pub fn provider_as(&self, account: &str, rules: Value) -> Arc<dyn Provider> {
        self.cluster.allow(account, &format!("ServiceAccount/{account}"), rules);
        let token_file = self.cluster.file(&format!("{account}-token"), &self.cluster.token_of(account));
        suite::build(self.scope_with(|settings| settings.auth = KubernetesAuth::Token { token_file }))
    }

    pub fn create(&self, kind: &str, body: &Value) {
        self.cluster.ok("POST", &format!("/api/v1/namespaces/{NAMESPACE}/{kind}"), body);
    }
}

#[test]
fn data_are_keys_and_type_labels_and_immutability_are_tags() {
    run(test_name!(), async |kube| {
        kube.create(
            "secrets",
            &json!({"metadata": {"name": "prod-db", "labels": {"team": "data", "app.example/x": ""}}, "immutable": true,
                "type": "example.com/db", "data": {"user": "dQ==", "a.b": "", "bin": "AP8="}}),
        );
        kube.create("secrets", &json!({"metadata": {"name": "prod-nothing"}}));
        let provider = suite::provider(&kube);
        let fetched = suite::current(&*provider, "db").await;
        for (name, value) in [("user", &b"u"[..]), ("a.b", b""), ("bin", b"\0\xff")] {
            assert_eq!(key(&fetched, name), value, "{name}");
        }
        assert_eq!(fetched.payload.raw.expose(), br#"{"a.b":"","bin":{"base64":"AP8="},"user":"u"}"#);
        let tags: Vec<(&str, &str)> = fetched.tags.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let expected = [("type", "example.com/db"), ("immutable", "true"), ("app.example/x", ""), ("team", "data")];
        assert_eq!(tags, expected);
        assert_eq!(fetched.source, format!("{}/{}", kube.proxy.url(), secrets("/prod-db")));
        let nothing = suite::current(&*provider, "nothing").await;
        assert_eq!(nothing.payload.keys.as_ref().map(Vec::len), Some(0));
        assert_eq!(nothing.payload.raw.expose(), b"{}");
        let previous = provider.fetch(&suite::name("db"), &VersionSelector::Previous).await;
        let error = expect_error(previous, ErrorKind::NotFound);
        assert!(error.detail.contains("keeps the current one only"), "{error}");
    });
}

#[test]
fn config_maps_are_shown_where_they_are_asked_for() {
    run(test_name!(), async |kube| {
        let data = json!({"metadata": {"name": "prod-app"}, "data": {"text": "é\n"}, "binaryData": {"bin": "AP8="}});
        kube.create("configmaps", &data);
        let provider = suite::build(kube.scope_with(|settings| settings.kind = KubernetesKind::ConfigMaps));
        assert_eq!(suite::listing(&*provider).await.secrets.len(), 1);
        let fetched = suite::current(&*provider, "app").await;
        assert_eq!((key(&fetched, "text"), key(&fetched, "bin")), ("é\n".as_bytes(), &b"\0\xff"[..]));
        expect_error(
            suite::provider(&kube).fetch(&suite::name("app"), &VersionSelector::Current).await,
            ErrorKind::NotFound,
        );
    });
}

#[test]
fn what_does_not_have_the_labels_is_not_in_the_scope() {
    run(test_name!(), async |kube| {
        for (name, tier) in [("prod-in", "gold"), ("prod-out", "lead")] {
            let value = json!({"value": "bWFya2VkLTdjMWYyZQ=="});
            kube.create("secrets", &json!({"metadata": {"name": name, "labels": {"tier": tier}}, "data": value}));
        }
        let labels = "tier in (gold, silver),!old";
        let provider = suite::build(kube.scope_with(|settings| settings.labels = Some(labels.into())));
        let listing = suite::listing(&*provider).await;
        assert_eq!(listing.secrets.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["in"]);
        suite::current(&*provider, "in").await;
        assert_eq!(suite::look(&*provider, "in").await.secret, Known::Yes);
        assert_eq!(suite::look(&*provider, "out").await.secret, Known::No);
        let fetched = provider.fetch(&suite::name("out"), &VersionSelector::Current).await;
        let error = expect_error(fetched, ErrorKind::NotFound);
        assert!(error.detail.contains(labels), "{error}");
    });
}

#[test]
fn a_listing_and_a_look_take_no_value_along() {
    run(test_name!(), async |kube| {
        kube.put("db", MARK.as_bytes()).await;
        // A value that is asked for as metadata is not in the answer; the proxy would have changed it.
        let whole = kube.cluster.ok("GET", &format!("/{}", secrets("/prod-db")), &Value::Null);
        assert!(whole["data"]["value"].is_string());
        let provider = suite::provider(&kube);
        suite::listing(&*provider).await;
        suite::look(&*provider, "db").await;
        let accepted = kube.proxy.accepted();
        assert_eq!(accepted.len(), 2, "{accepted:?}");
        assert!(accepted.iter().all(|it| it.contains("as=PartialObjectMetadata")), "{accepted:?}");
    });
}

#[test]
fn a_namespace_that_does_not_exist_is_no_empty_one() {
    run(test_name!(), async |kube| {
        let rules = json!([{"apiGroups": [""], "resources": ["secrets", "namespaces"], "verbs": ["get", "list"]}]);
        let at = "/apis/rbac.authorization.k8s.io/v1";
        kube.cluster.ok("POST", &format!("{at}/clusterroles"), &json!({"metadata": {"name": "all"}, "rules": rules}));
        let of = json!({"kind": "ClusterRole", "name": "all", "apiGroup": "rbac.authorization.k8s.io"});
        let who = json!([{"kind": "ServiceAccount", "name": "hushfs", "namespace": NAMESPACE}]);
        let body = json!({"metadata": {"name": "all"}, "roleRef": of, "subjects": who});
        kube.cluster.ok("POST", &format!("{at}/clusterrolebindings"), &body);
        kube.cluster.holds(&format!("system:serviceaccount:{NAMESPACE}:hushfs"), "nowhere", &rules);
        let provider = suite::build(kube.scope_with(|settings| settings.namespace = Some("nowhere".into())));
        let error = expect_error(provider.list().await, ErrorKind::NotFound);
        assert!(error.detail.contains("nowhere"), "{error}");
        assert!(suite::listing(&*suite::provider(&kube)).await.secrets.is_empty());
    });
}

#[test]
fn a_refusal_of_a_secret_is_denied_and_permissions_say_so_before() {
    run(test_name!(), async |kube| {
        kube.put("mine", MARK.as_bytes()).await;
        kube.put("other", MARK.as_bytes()).await;
        let rules =
            json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["prod-mine"]}]);
        let provider = kube.provider_as("some", rules);
        assert!(kube.bytes(&suite::current(&*provider, "mine").await) == MARK.as_bytes());
        let error =
            expect_error(provider.fetch(&suite::name("other"), &VersionSelector::Current).await, ErrorKind::Denied);
        assert!(
            error.detail.contains("prod-other") && error.detail.contains("system:serviceaccount:apps:some"),
            "{error}"
        );
        expect_error(provider.list().await, ErrorKind::Denied);
        assert_eq!(suite::look(&*provider, "other").await.secret, Known::Unknown);

        kube.proxy.forget_calls();
        let names = ["mine", "other", "none", "NO/NAME"].map(suite::name);
        let permissions = provider.permissions(None, &names).await.expect("an answer");
        let read: Vec<Known> = permissions.iter().map(|it| it.read).collect();
        assert_eq!(read, [Known::Yes, Known::No, Known::No, Known::Unknown], "{permissions:?}");
        assert_eq!(kube.proxy.all_calls(), 2);

        // Who may get all is told so in one call, for however many.
        kube.proxy.forget_calls();
        let many: Vec<_> = (0..1000).map(|n| suite::name(&format!("s{n}"))).collect();
        let permissions = suite::provider(&kube).permissions(None, &many).await.expect("an answer");
        assert!(permissions.len() == 1000 && permissions.iter().all(|it| it.read == Known::Yes));
        assert_eq!(kube.proxy.all_calls(), 1);
    });
}

#[test]
fn a_listing_takes_a_call_for_every_500_and_what_goes_meanwhile_breaks_nothing() {
    run(test_name!(), async |kube| {
        let names: Vec<String> = (0..600).map(|n| format!("s{n:04}")).collect();
        kube.put_all(&names, b"x").await;
        let provider = suite::provider(&kube);
        suite::listing(&*provider).await;
        assert_eq!(kube.proxy.calls(&secrets("")), 2);
        let listing = async { provider.list().await };
        let deleting = async {
            for name in &names[..20] {
                kube.delete(name).await;
                tokio::task::yield_now().await;
            }
        };
        let (listed, ()) = tokio::join!(listing, deleting);
        assert!(listed.expect("a listing").secrets.len() >= 580);
        assert_eq!(suite::listing(&*provider).await.secrets.len(), 580);
    });
}

/// Waits until it is so: the server needs a moment for what is asked of it.
pub async fn eventually(mut is_so: impl AsyncFnMut() -> bool) {
    let give_up = tokio::time::Instant::now() + Duration::from_secs(60);
    while !is_so().await {
        assert!(tokio::time::Instant::now() < give_up, "it never came to be");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
