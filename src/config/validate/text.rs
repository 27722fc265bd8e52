//! What texts may look like: rules without a place in a file.

/// Not empty, and nothing in it that a terminal, a log or a C string would take amiss.
pub fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
}

/// `us-east-1`: it becomes part of a host name, so nothing else may be in it.
pub fn is_region(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// `arn:aws:iam::123456789012:role/path/name`
pub fn is_role_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [arn, partition, service, region, account, resource] = parts.as_slice() else {
        return false;
    };
    *arn == "arn"
        && partition.starts_with("aws")
        && partition.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        && *service == "iam"
        && region.is_empty()
        && account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && resource.strip_prefix("role/").is_some_and(|name| {
            !name.is_empty()
                && !name.ends_with('/')
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_+=,.@-".contains(&byte))
        })
}

/// What STS takes: 2 to 1224 characters of letters, digits and `_+=,.@:/-`.
pub fn is_external_id(text: &str) -> bool {
    (2..=1224).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&byte))
}

/// What STS takes: 2 to 64 characters of letters, digits and `_+=,.@-`.
pub fn is_session_name(text: &str) -> bool {
    (2..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte))
}

/// A Google Cloud project's id or number; those of old Workspace domains are `example.com:name`.
pub fn is_project(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:".contains(&byte);
    (1..=100).contains(&text.len())
        && text.bytes().all(plain)
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
}

/// The name of a role at Vault, which becomes part of a path.
pub fn is_vault_role(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._@".contains(&byte);
    !text.is_empty() && text.len() <= 512 && !matches!(text, "." | "..") && text.bytes().all(is_plain)
}

/// A Kubernetes namespace: a DNS label.
pub fn is_namespace(text: &str) -> bool {
    text.len() <= 63 && is_dns_label(text)
}

/// The name of an object in Kubernetes: DNS labels with dots between.
pub fn is_object_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label)
}

fn is_dns_label(text: &str) -> bool {
    let possible = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(possible) && !text.starts_with('-') && !text.ends_with('-')
}

pub const SERVICE_ACCOUNT: &str = "a service account's address, such as \"name@my-project.iam.gserviceaccount.com\"";

/// A Google service account's address, which becomes part of a path.
pub fn is_service_account(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let parts = text.split_once('@');
    text.len() <= 200
        && parts.is_some_and(|(name, domain)| {
            [name, domain].iter().all(|part| !part.is_empty() && part.bytes().all(plain)) && domain.contains('.')
        })
}

/// A path of names inside of a service, slashes around it or not: no part of it is empty, `.` or `..`.
pub fn is_folder(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    text.bytes().all(plain) && text.trim_matches('/').split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// `/`, or `/app/prod/`
pub fn is_parameter_path(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    let Some(inside) = text.strip_prefix('/') else { return false };
    // Parameter Store has names of 1011 characters and 15 levels, the parameter's own among them.
    let parts = inside.strip_suffix('/').map(|inside| inside.split('/'));
    inside.is_empty() || (text.len() < 1011 && parts.is_some_and(|mut parts| parts.all(is_part)))
}

/// Why a text is no address of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlError {
    Scheme,
    Host,
    /// `user:password@`
    Credential,
    Port,
    /// A query, a fragment, a space, …
    Rest,
}

/// An `http` or `https` address that passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Url {
    pub encrypted: bool,
    /// The host is this machine.
    pub loopback: bool,
    /// More than a `/`.
    pub has_path: bool,
}

/// `http://host`, `https://host:port/path`
pub fn parse_url(text: &str) -> Result<Url, UrlError> {
    let (encrypted, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return Err(UrlError::Scheme),
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if authority.contains('@') {
        return Err(UrlError::Credential);
    }
    if path.contains(['?', '#', '\\', ' ', '"', '<', '>']) {
        return Err(UrlError::Rest);
    }
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => {
            host.parse::<std::net::Ipv6Addr>().map_err(|_| UrlError::Host)?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or(UrlError::Host)?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    if host.is_empty() || !host.chars().all(plain) {
        return Err(UrlError::Host);
    }
    if port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
        return Err(UrlError::Port);
    }
    let loopback = host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    Ok(Url { encrypted, loopback, has_path: !path.is_empty() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_arns_are_told_from_other_text() {
        for good in [
            "arn:aws:iam::123456789012:role/airflow",
            "arn:aws-cn:iam::123456789012:role/team/airflow",
            "arn:aws-us-gov:iam::123456789012:role/a+b@c",
        ] {
            assert!(is_role_arn(good), "{good}");
        }
        for bad in [
            "",
            "airflow",
            "arn:aws:iam::123456789012:user/airflow",
            "arn:aws:iam::123:role/airflow",
            "arn:aws:iam:us-east-1:123456789012:role/airflow",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/a b",
            "arn:aws:sts::123456789012:assumed-role/a/b",
        ] {
            assert!(!is_role_arn(bad), "{bad}");
        }
    }

    #[test]
    fn paths_of_parameters_start_and_end_with_a_slash() {
        for good in ["/", "/app/", "/app/prod_1.x-y/"] {
            assert!(is_parameter_path(good), "{good}");
        }
        for bad in ["", "app/", "/app", "//", "/a//b/", "/a b/", "/a:1/", "/é/", &format!("/{}/", "x".repeat(1010))] {
            assert!(!is_parameter_path(bad), "{bad}");
        }
    }

    #[test]
    fn addresses_are_told_from_other_text() {
        let here = Ok(Url { encrypted: false, loopback: true, has_path: false });
        let there = Ok(Url { encrypted: true, loopback: false, has_path: false });
        let below = Ok(Url { encrypted: true, loopback: false, has_path: true });
        for (text, answer) in [
            ("http://127.0.0.1:5000", here),
            ("http://localhost:5000/", here),
            ("http://[::1]:5000", here),
            ("https://vpce-1.secretsmanager.eu-west-1.vpce.amazonaws.com", there),
            ("https://example.com:8443/base/path", below),
            ("ftp://example.com", Err(UrlError::Scheme)),
            ("example.com", Err(UrlError::Scheme)),
            ("http://", Err(UrlError::Host)),
            ("http:///path", Err(UrlError::Host)),
            ("http://[::1", Err(UrlError::Host)),
            ("http://a b", Err(UrlError::Host)),
            ("http://me:pass@host", Err(UrlError::Credential)),
            ("http://host:99999", Err(UrlError::Port)),
            ("http://host:0", Err(UrlError::Port)),
            ("http://host:", Err(UrlError::Port)),
            ("http://host/?x=1", Err(UrlError::Rest)),
        ] {
            assert_eq!(parse_url(text), answer, "{text}");
        }
    }

    #[test]
    fn projects_and_service_accounts_lead_nowhere_else() {
        for good in ["my-project", "example.com:my-project", "123456789012"] {
            assert!(is_project(good), "{good}");
        }
        for bad in ["", "a/b", "..", "My Project", "-a", "a?b"] {
            assert!(!is_project(bad), "{bad}");
        }
        assert!(is_service_account("app@my-project.iam.gserviceaccount.com"));
        for bad in ["", "app", "app@", "@a.b", "a/b@c.d", "a@b.c/d", "a@b.c:generateIdToken", "a@b@c.d"] {
            assert!(!is_service_account(bad), "{bad}");
        }
    }

    #[test]
    fn names_of_kubernetes_lead_nowhere_else() {
        assert!(is_namespace("dagster-prd") && is_object_name("db.internal-1"));
        for bad in ["", "A", "a/b", "..", "a.", "-a", "a b", "é", &"x".repeat(254)] {
            assert!(!is_namespace(bad) && !is_object_name(bad), "{bad}");
        }
        assert!(!is_namespace("a.b"));
    }

    #[test]
    fn a_region_is_one_label_of_a_host_name() {
        assert!(is_region("us-gov-west-1"));
        for bad in ["", "US-EAST-1", "us-east-1.example.com", "us east", "us/east"] {
            assert!(!is_region(bad), "{bad}");
        }
    }

    #[test]
    fn a_folder_leads_nowhere_else() {
        for good in ["secret", "/team/kv/", "prod/", "a b", ".hidden"] {
            assert!(is_folder(good), "{good}");
        }
        for bad in ["", "/", "a//b", "..", "a/../b", "./a", "é", "a\n"] {
            assert!(!is_folder(bad), "{bad:?}");
        }
    }
}
