//! `systemd/hushfs.toml` must not drift from what the program takes and what it does without being told.

use std::collections::BTreeSet;
use std::fs::{create_dir, set_permissions, write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use crate::access::policy::Effect;

const SHIPPED: &str = include_str!("../../systemd/hushfs.toml");

/// Prose starts with `# `, a setting with `#` alone.
fn uncommented() -> String {
    let lines = SHIPPED.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn load_from(directory: &Path, text: &str) -> Result<Loaded, Report> {
    let file = directory.join("hushfs.toml");
    write(&file, text).unwrap();
    // Whatever the umask is.
    set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    load(&Source::File(file))
}

/// The settings of a file as `table.name`; those of scopes as `provider.name`.
fn settings_in(text: &str) -> BTreeSet<String> {
    let mut table = "";
    let mut names = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        table = match line {
            "[cache]" => "cache.",
            "[control]" => "control.",
            "[audit]" => "audit.",
            "[metrics]" => "metrics.",
            "[sandbox]" => "sandbox.",
            "[scopes.dev]" => "local.",
            "[scopes.prod]" => "aws-secrets-manager.",
            "[scopes.gcp]" => "gcp-secret-manager.",
            "[scopes.vault]" => "vault.",
            "[scopes.lake]" => "databricks.",
            "[scopes.k8s]" => "kubernetes.",
            "[scopes.azure]" => "azure-key-vault.",
            "[scopes.params]" => "aws-parameter-store.",
            "[[grant]]" => "grant.",
            "[[identity]]" => "identity.",
            _ => {
                let name = line.split(' ').next().unwrap();
                names.insert(format!("{table}{name}"));
                continue;
            }
        };
    }
    names
}

#[test]
fn the_shipped_file_as_it_is_says_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let shipped = load_from(directory.path(), SHIPPED).unwrap().config;
    let empty = load_from(directory.path(), "").unwrap().config;
    assert_eq!(format!("{shipped:?}"), format!("{empty:?}"));
}

#[test]
fn the_shipped_file_with_every_setting_taken_is_accepted_and_changes_no_default() {
    let directory = tempfile::tempdir().unwrap();
    let below = directory.path();
    for file in [
        "dev.key",
        "ca.pem",
        "gcp-key.json",
        "vault-role-id",
        "vault-secret-id",
        "airflow-secret-id",
        "lake-client-secret",
        "kubeconfig",
        "azure-client-secret",
    ] {
        write(below.join(file), "").unwrap();
        set_permissions(below.join(file), PermissionsExt::from_mode(0o600)).unwrap();
    }
    create_dir(below.join("dev")).unwrap();
    let here = format!("{}/", below.display());
    let text = uncommented()
        .replace("/etc/hushfs/", &here)
        .replace("/var/lib/hushfs/", &here)
        .replace("/var/log/hushfs/", &here);
    // A group that every host has.
    let text = text.replace("group:airflow", "group:root");

    let loaded = load_from(below, &text).unwrap_or_else(|report| panic!("{report}"));
    let warnings = loaded.warnings.entries();
    assert_eq!(warnings.len(), 1, "{}", loaded.warnings);
    assert!(warnings[0].message.contains("allow_other"), "the default beside an example of a grant");

    let Config {
        mountpoint,
        allow_other,
        events,
        root,
        max_bytes,
        control,
        audit,
        metrics,
        sandbox,
        scopes,
        grants,
        identities,
    } = loaded.config;
    assert_eq!(
        identities.len(),
        keys::IDENTITY_SERVICES.len(),
        "examples: by default providers are asked with the scope's own identity"
    );
    assert!(identities[0].acts_as.names_the_user());
    let empty = load_from(below, "").unwrap().config;
    assert_eq!(mountpoint, empty.mountpoint);
    assert_eq!((allow_other, events), (empty.allow_other, empty.events));
    assert_eq!(root, empty.root);
    assert_eq!(max_bytes, empty.max_bytes);
    assert!(control.socket.is_some(), "an example: the default is made at run time");
    assert!(audit.file.is_some(), "an example: there is no default");
    assert_eq!(AuditSettings { file: None, ..audit }, empty.audit);
    assert!(metrics.listen.is_some(), "an example: there is no default");
    assert_eq!(MetricsSettings { listen: None, ..metrics }, empty.metrics);
    assert!(!sandbox.read.is_empty() && !sandbox.write.is_empty() && !sandbox.programs.is_empty(), "examples");
    assert!(!sandbox.connect.is_empty(), "an example");
    let none = SandboxSettings::default();
    assert_eq!(
        SandboxSettings {
            read: none.read,
            write: none.write,
            programs: none.programs,
            connect: none.connect,
            ..sandbox
        },
        empty.sandbox
    );
    assert_eq!(grants.len(), 1, "an example: nothing is granted by default");
    assert_eq!(grants[0].effect, Effect::Allow);
    assert_eq!(scopes.len(), keys::PROVIDERS.len());
    for scope in scopes.values() {
        let is_local = matches!(scope.provider, ProviderSettings::Local(_));
        assert_eq!(scope.cache.calls, (!is_local).then(Rate::of_services));
        assert_eq!(
            CacheSettings { calls: CacheSettings::default().calls, ..scope.cache.clone() },
            CacheSettings::default()
        );
        assert_eq!(scope.format, Format::default());
        match &scope.provider {
            ProviderSettings::Local(local) => assert!(!local.allow_plaintext),
            ProviderSettings::AwsSecretsManager(aws) => assert_eq!(aws.prefix, ""),
            ProviderSettings::GcpSecretManager(gcp) => assert_eq!(gcp.prefix, ""),
            ProviderSettings::Vault(vault) => {
                assert_eq!(
                    (&*vault.prefix, &*vault.mount, vault.engine),
                    ("", "secret", VaultEngine::Kv(KvVersion::Two))
                );
            }
            ProviderSettings::Databricks(lake) => assert_eq!(lake.prefix, ""),
            ProviderSettings::Kubernetes(k8s) => {
                assert_eq!((&*k8s.prefix, k8s.kind), ("", KubernetesKind::Secrets));
            }
            ProviderSettings::AzureKeyVault(azure) => assert_eq!(azure.prefix, ""),
            ProviderSettings::AwsParameterStore(aws) => assert_eq!(aws.path, "/"),
        }
    }
}

#[test]
fn the_shipped_file_has_every_setting_that_there_is_and_no_other() {
    let tables = ["cache", "control", "audit", "metrics", "sandbox", "scopes", "grant", "identity"];
    let mut known: BTreeSet<String> =
        keys::ROOT.iter().filter(|name| !tables.contains(name)).map(|name| (*name).to_owned()).collect();
    known.extend(keys::CACHE.iter().chain(keys::CACHE_ONLY).map(|name| format!("cache.{name}")));
    known.extend(keys::CONTROL.iter().map(|name| format!("control.{name}")));
    known.extend(keys::AUDIT.iter().map(|name| format!("audit.{name}")));
    known.extend(keys::METRICS.iter().map(|name| format!("metrics.{name}")));
    known.extend(keys::SANDBOX.iter().map(|name| format!("sandbox.{name}")));
    known.extend(keys::GRANT.iter().map(|name| format!("grant.{name}")));
    let is_service = |name: &str| keys::IDENTITY_SERVICES.iter().any(|(service, _)| *service == name);
    known.extend(keys::IDENTITY.iter().filter(|name| !is_service(name)).map(|name| format!("identity.{name}")));
    for (service, names) in keys::IDENTITY_SERVICES {
        known.extend(names.iter().map(|name| format!("identity.{service}.{name}")));
    }
    for keys::Provider { name: provider, settings: names, .. } in keys::PROVIDERS {
        known.extend(names.iter().map(|name| format!("{provider}.{name}")));
        known.insert(format!("{provider}.provider"));
    }
    // What any scope may have need stand in one of them only.
    known.insert("local.format".to_owned());
    known.extend(keys::CACHE.iter().map(|name| format!("aws-secrets-manager.{name}")));
    assert_eq!(settings_in(&uncommented()), known);
}

/// A name in `keys` that no rule reads would be accepted and ignored.
#[test]
fn every_setting_that_there_is_is_judged() {
    let directory = tempfile::tempdir().unwrap();
    let complains = |text: String, name: &str| {
        let report = load_from(directory.path(), &text).unwrap_err();
        let expected = format!("`{name}`");
        let complaint = report.entries().into_iter().any(|entry| {
            entry.severity == Severity::Error && entry.message.starts_with(&expected) && entry.message.contains("type")
        });
        assert!(complaint, "{name} in\n{text}\n{report}");
    };
    for name in keys::ROOT {
        complains(format!("{name} = [1]\n"), name);
    }
    for name in keys::GRANT {
        complains(format!("[[grant]]\n{name} = 1\n"), name);
    }
    for name in keys::IDENTITY {
        complains(format!("[[identity]]\n{name} = 1\n"), name);
    }
    for (service, name) in
        keys::IDENTITY_SERVICES.iter().flat_map(|(service, names)| names.iter().map(move |it| (service, it)))
    {
        complains(format!("[[identity]]\n{service}.{name} = 1\n"), name);
    }
    for name in keys::CACHE.iter().chain(keys::CACHE_ONLY) {
        complains(format!("[cache]\n{name} = []\n"), name);
    }
    for name in keys::AUDIT {
        complains(format!("[audit]\n{name} = []\n"), name);
    }
    for name in keys::METRICS {
        complains(format!("[metrics]\n{name} = []\n"), name);
    }
    for name in keys::SANDBOX {
        complains(format!("[sandbox]\n{name} = 1.5\n"), name);
    }
    for name in keys::CONTROL {
        complains(format!("[control]\n{name} = []\n"), name);
    }
    for keys::Provider { name: provider, settings: names, .. } in keys::PROVIDERS {
        for name in names.iter().chain(keys::CACHE).chain(&["format"]) {
            complains(format!("[scopes.x]\nprovider = \"{provider}\"\n{name} = []\n"), name);
        }
    }
    complains("[scopes.x]\nprovider = []\n".to_owned(), "provider");
}
