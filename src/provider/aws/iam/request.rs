//! SimulatePrincipalPolicy, as the SDK would send it if it came with IAM: signed, retried, timed and limited
//! by its own machinery, through the same transport and with the same credentials.

use aws_config::SdkConfig;
use aws_runtime::auth::SigV4OperationSigningConfig;
use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4AuthScheme};
use aws_runtime::retries::classifiers::AwsErrorCodeClassifier;
use aws_smithy_query::QueryWriter;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{HttpStatusCodeClassifier, TransientErrorClassifier};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::auth::{AuthSchemeOptionResolverParams, SharedAuthScheme};
use aws_smithy_runtime_api::client::identity::SharedIdentityResolver;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::StaticRuntimePlugin;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::Layer;
use aws_smithy_types::error::ErrorMetadata;
use aws_types::SigningName;
use aws_types::region::{Region, SigningRegion};

use super::super::body_limit::BodyLimit;
use super::answer::{self, Page};
use super::context::Entry;
use super::endpoint::Endpoint;

/// The largest answer that is taken in. A hundred results with a dozen statements each have a tenth of it.
const LONGEST_ANSWER: u64 = 4 << 20;

/// One page's question.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) principal: String,
    pub(super) action: &'static str,
    pub(super) resources: Vec<String>,
    pub(super) context: Vec<Entry>,
    pub(super) marker: Option<String>,
}

pub(super) type Simulate = Operation<Question, Page, ErrorMetadata>;

/// None where the configuration lacks what every client of the SDK has.
pub(super) fn simulate(config: &SdkConfig, endpoint: &Endpoint) -> Option<Simulate> {
    let mut layer = Layer::new("IAM");
    layer.store_put(AuthSchemeOptionResolverParams::new(()));
    layer.store_put(SigV4OperationSigningConfig {
        region: Some(SigningRegion::from(Region::new(endpoint.signing_region.clone()))),
        name: Some(SigningName::from_static("iam")),
        ..SigV4OperationSigningConfig::default()
    });
    let mut components = RuntimeComponentsBuilder::new("IAM")
        .with_auth_scheme_option_resolver(Some(StaticAuthSchemeOptionResolver::new(vec![SCHEME_ID])))
        .with_auth_scheme(SharedAuthScheme::new(SigV4AuthScheme::new()))
        .with_identity_cache(Some(config.identity_cache()?));
    components.set_identity_resolver(SCHEME_ID, SharedIdentityResolver::new(config.credentials_provider()?));
    let plugin = StaticRuntimePlugin::new().with_config(layer.freeze()).with_runtime_components(components);
    let operation = Operation::builder()
        .service_name("IAM")
        .operation_name("SimulatePrincipalPolicy")
        .behavior_version(config.behavior_version()?)
        .http_client(config.http_client()?)
        .endpoint_url(&endpoint.url)
        .sleep_impl(config.sleep_impl()?)
        .time_source(config.time_source()?)
        .timeout_config(config.timeout_config()?.clone())
        .standard_retry(config.retry_config()?)
        .retry_classifier(TransientErrorClassifier::<ErrorMetadata>::new())
        .retry_classifier(AwsErrorCodeClassifier::<ErrorMetadata>::new())
        .retry_classifier(HttpStatusCodeClassifier::default())
        .interceptor(BodyLimit::of(LONGEST_ANSWER))
        .runtime_plugin(plugin)
        .serializer(|question: Question| serialize(&question))
        .deserializer(deserialize)
        .build();
    Some(operation)
}

fn serialize(question: &Question) -> Result<HttpRequest, BoxError> {
    let form = form(question);
    let mut request = HttpRequest::new(SdkBody::empty());
    request.set_method("POST")?;
    request.set_uri("/")?;
    let headers = request.headers_mut();
    headers.try_insert("content-type", "application/x-www-form-urlencoded")?;
    headers.try_insert("content-length", form.len().to_string())?;
    headers.try_insert("user-agent", concat!("hushfs/", env!("CARGO_PKG_VERSION")))?;
    *request.body_mut() = SdkBody::from(form);
    Ok(request)
}

fn form(question: &Question) -> String {
    let mut form = String::new();
    let mut writer = QueryWriter::new(&mut form, "SimulatePrincipalPolicy", "2010-05-08");
    writer.prefix("PolicySourceArn").string(&question.principal);
    let mut actions = writer.prefix("ActionNames").start_list(false, None);
    actions.entry().string(question.action);
    actions.finish();
    let mut resources = writer.prefix("ResourceArns").start_list(false, None);
    for arn in &question.resources {
        resources.entry().string(arn);
    }
    resources.finish();
    let mut context = writer.prefix("ContextEntries").start_list(false, None);
    for Entry { key, value, kind } in &question.context {
        let mut entry = context.entry();
        entry.prefix("ContextKeyName").string(key);
        entry.prefix("ContextKeyType").string(kind);
        let mut values = entry.prefix("ContextKeyValues").start_list(false, None);
        values.entry().string(value);
        values.finish();
    }
    context.finish();
    if let Some(marker) = &question.marker {
        writer.prefix("Marker").string(marker);
    }
    writer.finish();
    form
}

fn deserialize(response: &HttpResponse) -> Result<Page, OrchestratorError<ErrorMetadata>> {
    let body = response.body().bytes().unwrap_or_default();
    if response.status().is_success() {
        answer::page(body).map_err(OrchestratorError::other)
    } else {
        Err(OrchestratorError::operation(answer::refusal(body)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_escaped_and_numbered() {
        let question = Question {
            principal: "arn:aws:iam::1:role/a+b".into(),
            action: "secretsmanager:GetSecretValue",
            resources: vec!["arn:1".into(), "arn:2&Action=x".into()],
            context: vec![Entry { key: "aws:ResourceTag/ä".into(), value: "a b".into(), kind: "string" }],
            marker: Some("m=".into()),
        };
        assert_eq!(
            form(&question),
            "Action=SimulatePrincipalPolicy&Version=2010-05-08&PolicySourceArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fa%2Bb\
             &ActionNames.member.1=secretsmanager%3AGetSecretValue&ResourceArns.member.1=arn%3A1\
             &ResourceArns.member.2=arn%3A2%26Action%3Dx\
             &ContextEntries.member.1.ContextKeyName=aws%3AResourceTag%2F%C3%A4\
             &ContextEntries.member.1.ContextKeyType=string\
             &ContextEntries.member.1.ContextKeyValues.member.1=a%20b&Marker=m%3D"
        );
    }
}
