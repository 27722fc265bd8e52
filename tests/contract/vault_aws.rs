//! Vault's login by AWS identity: the proof is signed by the SDK's credentials, and verified by MiniStack's STS.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hushfs::config::{
    CacheSettings, Format, KvVersion, ProviderSettings, Scope, ScopeName, VaultAuth, VaultEngine, VaultSettings,
};
use hushfs::provider::{ErrorKind, Provider, VersionSelector};

use crate::suite::{self, MARK, expect_error};
use crate::support::bao_auth::READ_ALL;
use crate::support::ministack::MiniStack;
use crate::support::openbao::OpenBao;
use crate::support::own_process;
use crate::support::vault_aws::{AwsAuth, Config};
use crate::test_name;
use crate::vault::key;

const SERVER_ID: &str = "vault.example";

fn provider(vault: &AwsAuth, role: &str, region: Option<&str>, header_value: Option<&str>) -> Arc<dyn Provider> {
    suite::build(Scope {
        name: ScopeName::new("vault").expect("a scope's name"),
        cache: CacheSettings { timeout: Duration::from_secs(60), ..CacheSettings::default() },
        format: Format::Auto,
        provider: ProviderSettings::Vault(VaultSettings {
            address: vault.url(),
            mount: "secret".into(),
            prefix: String::new(),
            engine: VaultEngine::Kv(KvVersion::Two),
            namespace: None,
            ca_file: None,
            auth: VaultAuth::Aws {
                mount: "aws".into(),
                role: role.into(),
                region: region.map(str::to_owned),
                header_value: header_value.map(str::to_owned),
            },
        }),
    })
}

#[test]
fn who_aws_says_that_we_are_logs_in_and_nobody_else_does() {
    own_process::run(test_name!(), |_: &Path| {
        let (bao, aws) = (Arc::new(OpenBao::start()), MiniStack::start());
        bao.put("db", MARK);
        bao.policy("reader", READ_ALL);
        let user = aws.user("hushfs", r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:ListAllMyBuckets","Resource":"*"}]}"#);
        let bound = "arn:aws:iam::000000000000:user/hushfs";
        let other = "arn:aws:iam::000000000000:user/somebody-else";
        let vault = AwsAuth::start(Config {
            bao,
            sts: aws.address(),
            server_id: SERVER_ID,
            roles: BTreeMap::from([("hushfs", (bound, "reader")), ("other", (other, "reader"))]),
        });
        let keys = |id: &str, secret: &str| {
            // SAFETY: this process runs one test, and nothing else reads the environment meanwhile.
            unsafe {
                std::env::set_var("AWS_ACCESS_KEY_ID", id);
                std::env::set_var("AWS_SECRET_ACCESS_KEY", secret);
            }
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let fetch = |role: &str, region: Option<&str>, header: Option<&str>| {
            let provider = provider(&vault, role, region, header);
            runtime.block_on(async {
                let fetched = provider.fetch(&suite::name("db"), &VersionSelector::Current).await;
                let whoami = provider.whoami().await;
                let closed = provider.close().await;
                fetched.map(|it| (key(&it, "value") == MARK.as_bytes(), whoami, closed))
            })
        };

        let error = expect_error(fetch("hushfs", None, Some(SERVER_ID)), ErrorKind::CredentialsRejected);
        assert!(error.detail.contains("AWS credentials"), "{error}");
        assert_eq!(vault.logins(), 0, "nothing is sent where there is nothing to sign with");

        keys(&user.0, &user.1);
        for (region, host) in [(None, "sts.amazonaws.com"), (Some("eu-central-1"), "sts.eu-central-1.amazonaws.com")] {
            let (is_right, whoami, closed) = fetch("hushfs", region, Some(SERVER_ID)).expect("an answer");
            assert!(is_right && whoami.expect("an answer").contains("aws-hushfs"));
            closed.expect("the token is revoked");
            assert_eq!(vault.host(), host);
        }
        for (role, header, says) in [
            ("other", Some(SERVER_ID), "does not belong"),
            ("none", Some(SERVER_ID), "not found"),
            ("hushfs", None, "Server-ID"),
            ("hushfs", Some("vault.elsewhere"), "Server-ID"),
        ] {
            let error = expect_error(fetch(role, None, header), ErrorKind::CredentialsRejected);
            assert!(error.detail.contains(says), "{error}");
        }
        keys(&user.0, "not the secret of that key");
        let error = expect_error(fetch("hushfs", None, Some(SERVER_ID)), ErrorKind::CredentialsRejected);
        assert!(error.detail.contains("upstream request"), "{error}");
    });
}
