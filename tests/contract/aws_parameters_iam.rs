//! What IAM is expected to say to reads of parameters.

use hushfs::config::{ActsAs, IdentityRole};
use hushfs::provider::{ErrorKind, Known, Permission, Provider};

use crate::aws::{allow, policy};
use crate::aws_parameters::run;
use crate::suite::{self, expect_error};
use crate::support::fault_proxy::Fault;
use crate::test_name;

const HERE: &str = "arn:aws:ssm:us-east-1:000000000000:parameter/app/prod";

/// Everything that a prediction may ask for, and nothing that reads a value.
const ASKING: &str =
    r#"{"Effect":"Allow","Action":["iam:SimulatePrincipalPolicy","ssm:DescribeParameters"],"Resource":"*"}"#;

async fn ask(provider: &dyn Provider, identity: Option<&ActsAs>, names: &[&str]) -> Vec<Permission> {
    let names: Vec<_> = names.iter().map(|name| suite::name(name)).collect();
    let permissions = provider.permissions(identity, &names).await.unwrap_or_else(|error| panic!("{error}"));
    for permission in &permissions {
        eprintln!("{:?}: {}", permission.read, permission.why);
        assert!(!permission.why.is_empty() && !permission.why.contains('\n'), "{:?}", permission.why);
    }
    permissions
}

async fn reads(provider: &dyn Provider, names: &[&str]) -> Vec<Known> {
    ask(provider, None, names).await.into_iter().map(|permission| permission.read).collect()
}

#[test]
fn directories_are_judged_by_their_path_and_parameters_by_their_name() {
    run(test_name!(), async |aws| {
        for name in ["mine/KEY", "theirs/KEY", "deep/mine/KEY", "deep/theirs/KEY", "lone", "other", "both", "both/KEY"]
        {
            aws.put_key(name, "value").await;
        }
        let statements = format!(
            r#"{ASKING},{},{},{{"Effect":"Deny","Action":"ssm:*","Resource":"{HERE}/deep/theirs"}}"#,
            allow(r#""ssm:GetParametersByPath""#, &format!("{HERE}/*mine")),
            allow(r#""ssm:GetParameter""#, &format!("{HERE}/lone")),
        );
        let statements = format!("{statements},{}", allow(r#""ssm:GetParameter""#, &format!("{HERE}/both")));
        let provider = aws.provider_as("reader", &statements);
        let names = ["mine", "theirs", "deep/mine", "deep/theirs", "lone", "other", "both", "none", "a b"];
        let expected = [
            Known::Yes,
            Known::No,
            Known::Yes,
            Known::No,
            Known::Yes,
            Known::No,
            // The parameter may be read, the directory of the same name may not: a fetch takes both.
            Known::No,
            Known::Unknown,
            Known::Unknown,
        ];
        for listed in [false, true] {
            assert_eq!(reads(&*provider, &names).await, expected, "listed: {listed}");
            suite::listing(&*provider).await;
        }
        // All directories in one question, all parameters in another.
        let iam = aws.account.server.user("base", &policy(&allow(r#""*""#, "*")));
        aws.account.profile("counted", (&iam.0, &iam.1), &aws.proxy.url());
        let counted = suite::build(aws.scope_as("counted", |_| {}));
        suite::listing(&*counted).await;
        assert_eq!(reads(&*counted, &names[..7]).await, [Known::Yes; 7]);
        // The emulator's answers to many leave all out, so that each is asked about alone as well.
        let forms = aws.proxy.forms("SimulatePrincipalPolicy");
        let of_many: Vec<_> = forms.iter().filter(|form| form.contains("ResourceArns.member.2=")).collect();
        assert_eq!(of_many.len(), 2, "{forms:#?}");
        assert!(of_many[0].contains("ssm%3AGetParametersByPath") && of_many[0].contains("ssm%3ARecursive"));
        assert!(of_many[1].contains("ssm%3AGetParameter&"), "{}", of_many[1]);
    });
}

#[test]
fn an_advanced_parameter_that_nothing_allows_is_unknown() {
    run(test_name!(), async |aws| {
        let request = aws.account.parameters.put_parameter().name("/app/prod/shared").value("v");
        let request = request.r#type(aws_sdk_ssm::types::ParameterType::SecureString);
        request.tier(aws_sdk_ssm::types::ParameterTier::Advanced).send().await.unwrap();
        aws.put_key("plain", "v").await;
        let provider = aws.provider_as("reader", ASKING);
        let answers = ask(&*provider, None, &["shared", "plain"]).await;
        assert_eq!([answers[0].read, answers[1].read], [Known::Unknown, Known::No]);
        assert!(answers[0].why.contains("standard tier"), "{}", answers[0].why);
    });
}

#[test]
fn roles_of_identities_are_asked_about_with_the_scope_s_own_credentials() {
    run(test_name!(), async |aws| {
        aws.put_key("db/KEY", "value").await;
        let trust = policy(r#"{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}"#);
        let may = aws.account.server.role("may", &trust, &policy(&allow(r#""ssm:*""#, "*")));
        let may_not = aws.account.server.role("may-not", &trust, &policy(&allow(r#""s3:*""#, "*")));
        let provider = aws.provider_as("asker", ASKING);
        for (arn, expected) in [(may, Known::Yes), (may_not, Known::No)] {
            let role =
                ActsAs::AwsRole(IdentityRole { role_arn: arn, external_id: None, session_name: "hushfs".into() });
            assert_eq!(ask(&*provider, Some(&role), &["db"]).await[0].read, expected);
        }
    });
}

#[test]
fn who_may_not_simulate_is_told_and_an_outage_is_one() {
    run(test_name!(), async |aws| {
        aws.put_key("db/KEY", "value").await;
        let provider = aws.provider_as("reader", &allow(r#""ssm:*""#, "*"));
        let error = expect_error(provider.permissions(None, &[suite::name("db")]).await, ErrorKind::Denied);
        assert!(error.detail.contains("allow iam:SimulatePrincipalPolicy on"), "{error}");
        aws.account.profile("by-proxy", ("test", "test"), &aws.proxy.url());
        aws.proxy.set("GetCallerIdentity", Fault::error(503, "ServiceUnavailable"));
        let provider = suite::build(aws.scope_as("by-proxy", |_| {}));
        expect_error(provider.permissions(None, &[suite::name("db")]).await, ErrorKind::Unreachable);
    });
}
