//! Vault through a standby, on two nodes of OpenBao.

use hushfs::config::{CacheSettings, Format, ProviderSettings, Scope, ScopeName};
use hushfs::config::{KvVersion, VaultAuth, VaultEngine, VaultSettings};
use serde_json::json;

use crate::suite::{self, MARK};
use crate::support::bao_cluster::BaoCluster;
use crate::vault::key;

#[test]
fn a_standby_answers_reads_also_when_there_is_no_active_node_any_more() {
    let mut cluster = BaoCluster::start();
    cluster.put("db", &json!({"value": MARK}));
    let token_file = cluster.folder().join("token");
    std::fs::write(&token_file, &cluster.root_token).expect("a file");
    std::fs::set_permissions(&token_file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("permissions");
    let provider = suite::build(Scope {
        name: ScopeName::new("vault").expect("a scope's name"),
        cache: CacheSettings { timeout: std::time::Duration::from_secs(60), ..CacheSettings::default() },
        format: Format::Auto,
        provider: ProviderSettings::Vault(VaultSettings {
            address: format!("http://{}", cluster.standby()),
            mount: "secret".into(),
            prefix: String::new(),
            engine: VaultEngine::Kv(KvVersion::Two),
            namespace: None,
            ca_file: None,
            auth: VaultAuth::Token { file: Some(token_file) },
        }),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let read = suite::current(&*provider, "db").await;
        assert!(key(&read, "value") == MARK.as_bytes());
        assert_eq!(suite::listing(&*provider).await.secrets.len(), 1);
        cluster.stop_active();
        // OpenBao's standby nodes read by themselves; only a provider that asks for more than that is in trouble.
        let read = suite::current(&*provider, "db").await;
        assert!(key(&read, "value") == MARK.as_bytes());
    });
}
