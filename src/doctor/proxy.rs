//! Would proxy variables send calls the wrong way?

use super::finding::Finding;
use crate::config::{AwsSettings, Config, GcpAuth, ProviderSettings};

const NAME: &str = "proxy";
/// What gives credentials to virtual machines, on AWS and, by a name, on Google Cloud. Azure's is asked without a proxy.
const METADATA: &str = "169.254.169.254";
const GOOGLE_METADATA: &str = "metadata.google.internal";

/// Nothing to say where no proxy is set, or no provider is called.
pub fn check(config: &Config) -> Vec<Finding> {
    judge(config, &|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

fn judge(config: &Config, variable: &dyn Fn(&str) -> Option<String>) -> Vec<Finding> {
    let either = |upper: &str| variable(&upper.to_lowercase()).or_else(|| variable(upper));
    let (https, http, all) = (either("HTTPS_PROXY"), either("HTTP_PROXY"), either("ALL_PROXY"));
    let calls_out = config.scopes.values().any(|scope| !matches!(scope.provider, ProviderSettings::Local(_)));
    if !calls_out || (https.is_none() && http.is_none() && all.is_none()) {
        return Vec::new();
    }
    let set = [("HTTPS_PROXY", &https), ("HTTP_PROXY", &http), ("ALL_PROXY", &all)];
    let set: Vec<String> =
        set.iter().filter_map(|(name, url)| Some(format!("{name} ({})", host_of(url.as_deref()?)))).collect();
    let mut findings = vec![
        Finding::note(NAME, format!("calls to providers go through {}", set.join(", ")))
            .why("so it is in this environment; a unit has its own: systemctl show -p Environment hushfs"),
    ];
    let exceptions = either("NO_PROXY").unwrap_or_default();
    let is_excepted = |host: &str| exceptions.split(',').any(|entry| covers(entry.trim(), host));
    let plain = http.or(all.clone());
    let missing: Vec<&str> = metadata(config, variable).into_iter().filter(|host| !is_excepted(host)).collect();
    if plain.is_some() && !missing.is_empty() {
        let excepted = exceptions.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let mend = excepted.chain(missing.iter().copied()).collect::<Vec<_>>().join(",");
        findings.push(
            Finding::problem(NAME, format!("{} would be asked through the proxy", missing.join(" and ")))
                .why("that is this machine's own metadata service, which gives credentials; a proxy gives its own machine's, or none")
                .mend(format!("export NO_PROXY={mend}")),
        );
    }
    let cluster = variable("KUBERNETES_SERVICE_HOST")
        .filter(|_| config.scopes.values().any(|scope| matches!(scope.provider, ProviderSettings::Kubernetes(_))));
    if let Some(host) = cluster.filter(|host| (https.is_some() || all.is_some()) && !is_excepted(host)) {
        findings.push(
            Finding::problem(NAME, format!("the cluster's API server, {host}, would be asked through the proxy"))
                .why("it is inside the cluster, where the proxy hardly is")
                .mend(format!("add {host} to NO_PROXY")),
        );
    }
    findings
}

/// The metadata services that scopes get credentials from where there are no others, as far as can be seen.
fn metadata(config: &Config, variable: &dyn Fn(&str) -> Option<String>) -> Vec<&'static str> {
    let aws = ["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"];
    let has_aws = aws.iter().any(|name| variable(name).is_some())
        || variable("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let has_google = variable("GOOGLE_APPLICATION_CREDENTIALS").is_some();
    let mut hosts: Vec<&str> = Vec::new();
    let mut of_aws = |settings: &AwsSettings| {
        if settings.profile.is_none() && !has_aws {
            hosts.push(METADATA);
        }
    };
    let mut of_google = false;
    for scope in config.scopes.values() {
        match &scope.provider {
            ProviderSettings::AwsSecretsManager(settings) => of_aws(&settings.aws),
            ProviderSettings::AwsParameterStore(settings) => of_aws(&settings.aws),
            ProviderSettings::GcpSecretManager(settings) => {
                of_google |= settings.auth == GcpAuth::ApplicationDefault && !has_google;
            }
            ProviderSettings::AzureKeyVault(_)
            | ProviderSettings::Local(_)
            | ProviderSettings::Vault(_)
            | ProviderSettings::Databricks(_)
            | ProviderSettings::Kubernetes(_) => {}
        }
    }
    hosts.dedup();
    hosts.extend(of_google.then_some(GOOGLE_METADATA));
    hosts
}

/// Does an entry of NO_PROXY except a host? `*` does for all, `.name` and `name` for a domain; of networks those of
/// whole bytes are understood.
fn covers(entry: &str, host: &str) -> bool {
    if entry == "*" || entry.eq_ignore_ascii_case(host) {
        return true;
    }
    if let Some((network, bits)) = entry.split_once('/') {
        let bytes = match bits {
            "8" => 1,
            "16" => 2,
            "24" => 3,
            "32" => 4,
            _ => return false,
        };
        return host.split('.').count() == 4 && network.split('.').take(bytes).eq(host.split('.').take(bytes));
    }
    let domain = entry.strip_prefix('.').unwrap_or(entry);
    !domain.is_empty() && host.strip_suffix(domain).is_some_and(|before| before.ends_with('.'))
}

/// Host and port of a URL: what is before may be a name and a password.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxys_password_is_not_shown() {
        assert_eq!(host_of("http://user:CANARY@proxy.example:3128/x"), "proxy.example:3128");
        assert_eq!(host_of("http://user:CAN@ARY@proxy:1"), "proxy:1");
        assert_eq!(host_of("proxy.example:3128"), "proxy.example:3128");
    }

    #[test]
    fn no_proxy_is_understood_as_by_those_who_use_it() {
        for entry in ["*", "169.254.169.254", "169.254.0.0/16", "169.0.0.0/8", "169.254.169.254/32"] {
            assert!(covers(entry, METADATA), "{entry}");
        }
        for entry in ["", "169.254.169.25", "10.0.0.0/8", "169.254.169.254/99", "9.254"] {
            assert!(!covers(entry, METADATA), "{entry}");
        }
        for entry in [".google.internal", "google.internal", "Metadata.Google.Internal"] {
            assert!(covers(entry, GOOGLE_METADATA), "{entry}");
        }
        assert!(!covers("gle.internal", GOOGLE_METADATA));
    }
}
