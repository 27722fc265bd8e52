//! Kubernetes' credentials: where they are found, when they are read anew, what their refusal means, and impersonation.

use std::path::Path;
use std::sync::Arc;

use hushfs::config::{ActsAs, KubernetesAuth};
use hushfs::provider::{Acting, Error, ErrorKind, Known, Provider, VersionSelector, registry};
use serde_json::{Value, json};

use crate::kubernetes::{Kube, rules, run};
use crate::suite::{self, Fixture, MARK, expect_error};
use crate::support::kubernetes::{NAMESPACE, ROOT};
use crate::test_name;

async fn read(provider: &dyn Provider, name: &str) -> Result<(), Error> {
    provider.fetch(&suite::name(name), &VersionSelector::Current).await.map(drop)
}

fn with(kube: &Kube, auth: KubernetesAuth) -> Arc<dyn Provider> {
    suite::build(kube.scope_with(|settings| {
        settings.auth = auth;
        settings.endpoint_url = None;
        settings.namespace = None;
    }))
}

fn kubeconfig(file: &Path, context: Option<&str>) -> KubernetesAuth {
    KubernetesAuth::Kubeconfig { file: Some(file.to_owned()), context: context.map(str::to_owned) }
}

#[test]
fn a_token_that_is_replaced_in_its_file_is_used_at_once_and_one_that_is_revoked_is_not() {
    run(test_name!(), async |kube| {
        kube.put("db", MARK.as_bytes()).await;
        let provider = suite::provider(&kube);
        read(&*provider, "db").await.expect("a value");
        let old = std::fs::read_to_string(kube.cluster.folder().join("token")).unwrap();
        kube.cluster.file("token", "not-a-token-marked");
        let error = expect_error(read(&*provider, "db").await, ErrorKind::CredentialsRejected);
        assert!(!error.detail.contains("not-a-token"), "{error}");
        // As kubelet does it: a new file takes the name of the old one.
        kube.cluster.file("token", &kube.cluster.token_of("hushfs"));
        read(&*provider, "db").await.expect("a value with the new token");
        // Through a link that is turned, too.
        let link = kube.cluster.folder().join("link");
        std::os::unix::fs::symlink(kube.cluster.file("one", &old), &link).unwrap();
        let linked = suite::build(kube.scope_with(|it| it.auth = KubernetesAuth::Token { token_file: link.clone() }));
        read(&*linked, "db").await.expect("a value");
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(kube.cluster.file("two", "no-token-at-all"), &link).unwrap();
        expect_error(read(&*linked, "db").await, ErrorKind::CredentialsRejected);
    });
}

#[test]
fn a_kubeconfig_says_where_and_as_whom() {
    run(test_name!(), async |kube| {
        kube.put("db", MARK.as_bytes()).await;
        let token = kube.cluster.token_of("hushfs");
        let file = kube.cluster.kubeconfig("config", &format!("    token: {token}"));
        let provider = with(&kube, kubeconfig(&file, None));
        read(&*provider, "db").await.expect("a value, of the context's namespace");
        let who = provider.whoami().await.expect("an answer");
        assert_eq!(who, format!("system:serviceaccount:apps:hushfs at {}, namespace apps", kube.cluster.url()));

        // A path in it counts from where it is.
        kube.cluster.file("its-token", &token);
        let file = kube.cluster.kubeconfig("config", "    tokenFile: its-token");
        read(&*provider, "db").await.expect("a value with the new kubeconfig");
        read(&*with(&kube, kubeconfig(&file, Some("here"))), "db").await.expect("a value");

        // A client certificate: the user carol.
        kube.cluster.allow("carol", "User/carol", rules());
        let user = "    client-certificate: client.pem\n    client-key: client.key";
        let file = kube.cluster.kubeconfig("carols", user);
        read(&*with(&kube, kubeconfig(&file, None)), "db").await.expect("a value as carol");

        for (context, says) in [("nowhere", "no context `nowhere`"), ("elsewhere", "no user `nobody`")] {
            let error = expect_error(
                read(&*with(&kube, kubeconfig(&file, Some(context))), "db").await,
                ErrorKind::CredentialsRejected,
            );
            assert!(error.detail.contains(says), "{error}");
        }
    });
}

#[test]
fn what_a_daemon_should_not_do_for_a_kubeconfig_is_refused_by_name() {
    run(test_name!(), async |kube| {
        let made = kube.cluster.folder().join("made");
        let exec = format!(
            "    exec: {{apiVersion: client.authentication.k8s.io/v1, command: touch, args: [{made:?}], interactiveMode: Never}}"
        );
        for (user, says) in [
            (&*exec, "hushfs runs none"),
            ("    username: u\n    password: marked-7c1f2e", "password"),
            ("    token: \"marked-7c1f2e two\"", "one word"),
            ("    token: x\n    as: system:admin", "[[identity]]"),
        ] {
            let file = kube.cluster.kubeconfig("config", user);
            let error =
                expect_error(read(&*with(&kube, kubeconfig(&file, None)), "db").await, ErrorKind::CredentialsRejected);
            assert!(error.detail.contains(says), "{error}");
        }
        assert!(!made.exists(), "a program was run");
        let file = kube.cluster.file("config", &format!("clusters: [{{{MARK}"));
        expect_error(read(&*with(&kube, kubeconfig(&file, None)), "db").await, ErrorKind::CredentialsRejected);
        let open = kube.cluster.kubeconfig("config", "    token: x");
        let text = std::fs::read_to_string(&open)
            .unwrap()
            .replace("    server:", "    insecure-skip-tls-verify: true\n    server:");
        let file = kube.cluster.file("config", &text);
        let error = expect_error(read(&*with(&kube, kubeconfig(&file, None)), "db").await, ErrorKind::Malformed);
        assert!(error.detail.contains("insecure-skip-tls-verify"), "{error}");
    });
}

#[test]
fn by_default_a_kubeconfig_is_where_kubectl_looks_for_it() {
    run(test_name!(), async |kube| {
        kube.put("db", MARK.as_bytes()).await;
        let error =
            expect_error(read(&*with(&kube, KubernetesAuth::Default), "db").await, ErrorKind::CredentialsRejected);
        assert!(error.detail.contains(".kube/config"), "{error}");
        let user = format!("    token: {}", kube.cluster.token_of("hushfs"));
        let text = std::fs::read_to_string(kube.cluster.kubeconfig("config", &user)).unwrap();
        let home = Path::new(&std::env::var_os("HOME").unwrap()).join(".kube");
        std::fs::create_dir(&home).unwrap();
        std::fs::rename(kube.cluster.file("config", &text), home.join("config")).unwrap();
        read(&*with(&kube, KubernetesAuth::Default), "db").await.expect("a value with ~/.kube/config");
        let error =
            expect_error(read(&*with(&kube, KubernetesAuth::InCluster), "db").await, ErrorKind::CredentialsRejected);
        assert!(error.detail.contains("KUBERNETES_SERVICE_HOST"), "{error}");
    });
}

fn acting(kube: &Kube, account: &str) -> Arc<dyn Provider> {
    let acts_as = ActsAs::KubernetesServiceAccount(account.into());
    registry::build(&kube.scope(), Some(Acting { acts_as: &acts_as, user: None })).expect("a provider")
}

#[test]
fn an_identity_has_the_rights_of_its_service_account_and_no_others() {
    run(test_name!(), async |kube| {
        for name in ["db", "other"] {
            kube.put(name, MARK.as_bytes()).await;
        }
        kube.cluster.token_of("reader");
        let only =
            json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["prod-db"]}]);
        kube.cluster.allow("reader", "ServiceAccount/reader", only);
        // Before the right to impersonate is given.
        let error = expect_error(read(&*acting(&kube, "reader"), "db").await, ErrorKind::Denied);
        assert!(error.detail.contains("impersonate"), "{error}");
        let one = json!([{"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["impersonate"], "resourceNames": ["reader"]}]);
        kube.cluster.allow("impersonator", "ServiceAccount/hushfs", one);
        for account in ["reader", "apps/reader"] {
            let provider = acting(&kube, account);
            crate::kubernetes::eventually(async || read(&*provider, "db").await.is_ok()).await;
            let error = expect_error(read(&*provider, "other").await, ErrorKind::Denied);
            assert!(error.detail.contains("system:serviceaccount:apps:reader"), "{error}");
            let permissions = provider.permissions(None, &["db", "other"].map(suite::name)).await.expect("an answer");
            assert_eq!(permissions.iter().map(|it| it.read).collect::<Vec<_>>(), [Known::Yes, Known::No]);
            let who = provider.whoami().await.expect("an answer");
            assert!(who.starts_with("system:serviceaccount:apps:reader"), "{who}");
        }
        // The role names one account.
        expect_error(read(&*acting(&kube, "writer"), "db").await, ErrorKind::Denied);
        read(&*suite::provider(&kube), "other").await.expect("the scope's own identity is as it was");
    });
}

#[test]
fn an_identity_of_another_provider_is_refused() {
    run(test_name!(), async |kube| {
        let other = ActsAs::GcpServiceAccount("a@b.iam.gserviceaccount.com".into());
        let provider = suite::provider(&kube);
        expect_error(provider.permissions(Some(&other), &[suite::name("a")]).await, ErrorKind::Denied);
        let Err(error) = registry::build(&kube.scope(), Some(Acting { acts_as: &other, user: None })) else {
            panic!("built")
        };
        assert_eq!(error.kind, ErrorKind::Malformed);
        assert_eq!(kube.proxy.all_calls(), 0);
    });
}

/// Writes where a pod has its token: only in the namespaces of `tests/setup/sandbox`.
mod as_root {
    use super::*;

    #[test]
    fn in_a_pod_its_service_account_is_used() {
        run(test_name!(), async |kube| {
            kube.put("db", MARK.as_bytes()).await;
            let pod = Path::new("/var/run/secrets/kubernetes.io/serviceaccount");
            std::fs::create_dir_all(pod).unwrap();
            std::fs::write(pod.join("token"), kube.cluster.token_of("hushfs")).unwrap();
            std::fs::copy(kube.cluster.ca_file(), pod.join("ca.crt")).unwrap();
            std::fs::write(pod.join("namespace"), NAMESPACE).unwrap();
            // SAFETY: no other thread of this process, which is this test's own, reads the environment.
            unsafe {
                std::env::set_var("KUBERNETES_SERVICE_HOST", "127.0.0.1");
                std::env::set_var("KUBERNETES_SERVICE_PORT", kube.cluster.address().port().to_string());
            }
            for auth in [KubernetesAuth::Default, KubernetesAuth::InCluster] {
                let provider = with(&kube, auth);
                read(&*provider, "db").await.expect("a value");
                let who = provider.whoami().await.expect("an answer");
                assert!(who.starts_with("system:serviceaccount:apps:hushfs"), "{who}");
            }
            let (status, _) = kube.cluster.ask("GET", "/version", ROOT, &Value::Null);
            assert_eq!(status, 200);
        });
    }
}
