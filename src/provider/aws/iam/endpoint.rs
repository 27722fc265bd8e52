//! Where IAM is, and for which region its requests are signed.

use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) url: String,
    pub(super) signing_region: String,
}

/// IAM's endpoint, or why there is none to ask.
///
/// What names it: AWS_ENDPOINT_URL_IAM, AWS_ENDPOINT_URL, `iam` in the profile's `services` section, or the
/// profile's `endpoint_url`, in the SDK's order. Where nothing does, it is the partition's own, unless the scope is at an
/// endpoint of its own: that account may be no account of AWS, which then must not be asked about it.
pub(super) fn iam(config: &SdkConfig, scope_has_its_own: bool) -> Result<Endpoint, String> {
    let region = config.region().map(AsRef::as_ref).unwrap_or_default();
    choose(named(config, "IAM"), scope_has_its_own, region, config.use_fips() == Some(true))
}

/// Does the endpoint of this service speak TLS? `endpoint_url` is the scope's own.
pub(super) fn reads_over_tls(config: &SdkConfig, service: &str, endpoint_url: Option<&str>) -> bool {
    let url = endpoint_url.map(str::to_owned).or_else(|| named(config, service));
    url.is_none_or(|url| url.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://")))
}

/// The endpoint that the environment or the profile gives a service.
fn named(config: &SdkConfig, service: &str) -> Option<String> {
    let key =
        ServiceConfigKey::builder().service_id(service).env("AWS_ENDPOINT_URL").profile("endpoint_url").build().ok();
    let of_service = key.and_then(|key| config.service_config()?.load_config(key));
    of_service.or_else(|| config.endpoint_url().map(str::to_owned))
}

fn choose(named: Option<String>, scope_has_its_own: bool, region: &str, fips: bool) -> Result<Endpoint, String> {
    let of_partition = global(region, fips);
    if let Some(url) = named {
        let signing_region = of_partition.map_or(region, |(_, signing_region)| signing_region).to_owned();
        return Ok(Endpoint { url, signing_region });
    }
    if scope_has_its_own {
        return Err("the scope has its own endpoint_url and nothing names IAM's; set AWS_ENDPOINT_URL_IAM".into());
    }
    match of_partition {
        Some((host, signing_region)) => {
            Ok(Endpoint { url: format!("https://{host}"), signing_region: signing_region.into() })
        }
        None => Err(format!("where IAM is for the region {region} is not known here; set AWS_ENDPOINT_URL_IAM")),
    }
}

/// The one endpoint of a partition: host and signing region.
fn global(region: &str, fips: bool) -> Option<(&'static str, &'static str)> {
    let is = |prefix: &str| region.starts_with(prefix);
    if is("cn-") {
        return (!fips).then_some(("iam.cn-north-1.amazonaws.com.cn", "cn-north-1"));
    }
    if is("us-gov-") {
        return Some(("iam.us-gov.amazonaws.com", "us-gov-west-1"));
    }
    // Partitions apart from the public one; their names are not all known.
    if region.is_empty() || is("us-iso") || is("eu-iso") || is("eusc-") {
        return None;
    }
    Some((if fips { "iam-fips.amazonaws.com" } else { "iam.amazonaws.com" }, "us-east-1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(named: Option<&str>, scope_has_its_own: bool, region: &str) -> Result<(String, String), String> {
        choose(named.map(str::to_owned), scope_has_its_own, region, false)
            .map(|endpoint| (endpoint.url, endpoint.signing_region))
    }

    #[test]
    fn each_partition_has_its_own_iam() {
        let of = |region| chosen(None, false, region).unwrap();
        assert_eq!(of("eu-central-1"), ("https://iam.amazonaws.com".into(), "us-east-1".into()));
        assert_eq!(of("cn-northwest-1"), ("https://iam.cn-north-1.amazonaws.com.cn".into(), "cn-north-1".into()));
        assert_eq!(of("us-gov-east-1"), ("https://iam.us-gov.amazonaws.com".into(), "us-gov-west-1".into()));
    }

    #[test]
    fn an_unknown_partition_is_not_asked_at_the_public_one() {
        for region in ["us-iso-east-1", "us-isob-east-1", "us-isof-south-1", "eu-isoe-west-1", "eusc-de-east-1", ""] {
            assert!(chosen(None, false, region).unwrap_err().contains("AWS_ENDPOINT_URL_IAM"), "{region}");
        }
    }

    #[test]
    fn a_scope_with_an_endpoint_of_its_own_never_leads_to_real_iam() {
        assert!(chosen(None, true, "us-east-1").unwrap_err().contains("AWS_ENDPOINT_URL_IAM"));
        let named = chosen(Some("http://127.0.0.1:1"), true, "cn-north-1").unwrap();
        assert_eq!(named, ("http://127.0.0.1:1".into(), "cn-north-1".into()));
    }

    #[test]
    fn fips_has_a_host_of_its_own_or_none() {
        let host = |region| global(region, true).map(|(host, _)| host);
        assert_eq!(host("us-east-1"), Some("iam-fips.amazonaws.com"));
        assert_eq!(host("cn-north-1"), None);
    }
}
