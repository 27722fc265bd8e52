//! A proof of who we are for somebody else to show to STS: a signed request for our own identity.

use std::time::{Duration, SystemTime};

use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;

use super::client;
use crate::config::AwsSettings;
use crate::provider::connections::Connections;
use crate::provider::{Error, ErrorKind};

const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// A request of the method POST. It is good for about a quarter of an hour, for whoever has it.
pub struct Proof {
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: &'static str,
}

/// Signs one with the credentials of the SDK's chain, for STS of a region, or for the one that has none. `extra` is a
/// header to sign, which binds the proof to somebody.
pub async fn prove(region: Option<&str>, extra: Option<(&str, &str)>, deadline: Duration) -> Result<Proof, Error> {
    let settings = AwsSettings { region: region.map(str::to_owned), ..AwsSettings::default() };
    client::check(&settings)?;
    let config = client::load(&settings, deadline, &Connections::default()).await?;
    let rejected = |why: &str| Error::new(ErrorKind::CredentialsRejected, format!("AWS credentials: {why}"));
    let provider = config.credentials_provider().ok_or_else(|| rejected("there are none"))?;
    let credentials = tokio::time::timeout(deadline.mul_f64(0.9), provider.provide_credentials())
        .await
        .map_err(|_| Error::new(ErrorKind::TimedOut, "AWS credentials: none within the timeout"))?
        .map_err(|error| rejected(&crate::provider::text::clean(&error.to_string())))?;
    let host = host(region);
    let url = format!("https://{host}/");
    let mut headers = vec![("host".to_owned(), host), ("content-type".to_owned(), FORM.to_owned())];
    headers.extend(extra.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let body = "Action=GetCallerIdentity&Version=2011-06-15";
    let unsigned = |_| Error::new(ErrorKind::Malformed, "AWS: the request for our identity cannot be signed");
    let identity = credentials.into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(region.unwrap_or(GLOBAL))
        .name("sts")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .map_err(|_| unsigned(()))?;
    let named = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let request = SignableRequest::new("POST", url.as_str(), named, SignableBody::Bytes(body.as_bytes()));
    let signed = sign(request.map_err(|_| unsigned(()))?, &params.into()).map_err(|_| unsigned(()))?;
    let (instructions, _) = signed.into_parts();
    headers.extend(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())));
    Ok(Proof { url, headers, body })
}

/// What the endpoint without a region signs for.
const GLOBAL: &str = "us-east-1";

fn host(region: Option<&str>) -> String {
    match region {
        None => "sts.amazonaws.com".to_owned(),
        Some(region) if region.starts_with("cn-") => format!("sts.{region}.amazonaws.com.cn"),
        Some(region) => format!("sts.{region}.amazonaws.com"),
    }
}
