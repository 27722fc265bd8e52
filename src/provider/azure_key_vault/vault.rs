//! Where a vault is, and which cloud it is in.

use reqwest::Url;

use crate::provider::rest::clean;
use crate::provider::{Error, ErrorKind};

/// What vaults are called in each cloud, and where its tokens come from.
const CLOUDS: &[(&str, &str)] = &[
    ("azure.net", "https://login.microsoftonline.com"),
    ("azure.cn", "https://login.chinacloudapi.cn"),
    ("usgovcloudapi.net", "https://login.microsoftonline.us"),
];

/// `https://host[:port]`
#[derive(Debug)]
pub(super) struct Vault {
    url: String,
    host: String,
}

impl Vault {
    pub(super) fn new(address: &str) -> Result<Self, Error> {
        let refuse = |why: &str| {
            let text = format!("`{}` is not the address of a vault: {why}", clean(address));
            Err(Error::new(ErrorKind::Malformed, text))
        };
        if address.contains('@') {
            // Not shown: a password may be in it.
            return Err(Error::new(ErrorKind::Malformed, "the address of the vault has an `@`: it takes no user"));
        }
        let Ok(url) = Url::parse(address) else { return refuse("it is no URL") };
        let Some(host) = url.host_str() else { return refuse("it has no host") };
        if url.scheme() != "https" {
            return refuse("Azure's client sends tokens over https only, also to this machine");
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return refuse("it has a path");
        }
        Ok(Self { url: url.origin().ascii_serialization(), host: host.to_owned() })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    fn cloud(&self) -> Option<&'static str> {
        let of = |cloud: &&(&str, &str)| {
            let inside = self.host.strip_suffix(cloud.0);
            inside.is_some_and(|it| it.ends_with(".vault.") || it.ends_with(".managedhsm."))
        };
        CLOUDS.iter().find(of).map(|(_, authority)| *authority)
    }

    /// Is it at one of Azure's own names, where a token for vaults in general must be asked for?
    pub(super) fn is_azures(&self) -> bool {
        self.cloud().is_some()
    }

    /// Where its cloud's tokens come from, as far as the vault's name says.
    pub(super) fn authority(&self) -> &'static str {
        self.cloud().unwrap_or("https://login.microsoftonline.com")
    }
}

/// Is a token of this scope good for vaults and nothing else? A server that merely claims to be a vault must not
/// be given one that is good for more.
pub(super) fn is_of_vaults(scope: &str) -> bool {
    let Ok(url) = Url::parse(scope) else { return false };
    url.scheme() == "https"
        && url.host_str().is_some_and(|host| host.starts_with("vault.") || host.starts_with("managedhsm."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vault_is_reached_by_https_and_has_no_path() {
        assert_eq!(Vault::new("https://My-Vault.vault.azure.net/").unwrap().url(), "https://my-vault.vault.azure.net");
        assert_eq!(Vault::new("https://127.0.0.1:8443").unwrap().url(), "https://127.0.0.1:8443");
        for bad in ["", "v.vault.azure.net", "http://127.0.0.1", "https://x/secrets", "https://x/?a", "https://u:pw@x"]
        {
            let error = Vault::new(bad).unwrap_err();
            assert!(error.kind == ErrorKind::Malformed && !error.detail.contains("pw"), "{error}");
        }
    }

    #[test]
    fn the_name_of_a_vault_says_its_cloud() {
        let of = |url: &str| {
            let vault = Vault::new(url).unwrap();
            (vault.is_azures(), vault.authority())
        };
        assert_eq!(of("https://a.vault.azure.net"), (true, "https://login.microsoftonline.com"));
        assert_eq!(of("https://a.vault.azure.cn"), (true, "https://login.chinacloudapi.cn"));
        assert_eq!(of("https://a.vault.usgovcloudapi.net"), (true, "https://login.microsoftonline.us"));
        for other in ["https://vault.azure.net.example", "https://avault.azure.net", "https://127.0.0.1"] {
            assert_eq!(of(other), (false, "https://login.microsoftonline.com"), "{other}");
        }
    }

    #[test]
    fn tokens_are_asked_for_vaults_only() {
        for good in ["https://vault.azure.net/.default", "https://managedhsm.azure.net/.default"] {
            assert!(is_of_vaults(good), "{good}");
        }
        for bad in ["", "https://management.azure.com/.default", "https://x.example/vault.azure.net", "vault.azure.net"]
        {
            assert!(!is_of_vaults(bad), "{bad}");
        }
    }
}
