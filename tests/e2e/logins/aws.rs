//! AWS's credentials, for both of its providers, and what Parameter Store has of its own, on MiniStack with IAM enforced.

use aws_sdk_ssm::types::ParameterType;
use serde_json::json;

use crate::support::cloud::Cloud;
use crate::support::daemon::{Place, errno_of_reading};
use crate::support::ministack::ROOT_KEYS;
use crate::support::session::Session;
use crate::support::walk::{Walk, cat, is_refused, is_well, ls};

const OLD: &str = "the value itself";
const NEW: &str = "another value";

struct Account {
    cloud: Cloud,
    place: Place,
}

impl Account {
    /// With the secret `prod/db` and the parameter `/app/prod/db/PASSWORD`.
    fn new() -> Self {
        let place = Place::new();
        let account = Self { cloud: Cloud::start(&place), place };
        account.cloud.create("prod/db", &password(OLD));
        account.put(OLD);
        account
    }

    /// Both scopes, alone.
    fn scopes(&self, auth: &str) -> [(&'static str, String); 2] {
        let secrets = self.cloud.scope("secrets", &format!("prefix = \"prod/\"\n{auth}"));
        [("secrets", secrets), ("params", self.cloud.parameters("params", "/app/prod/", auth))]
    }

    /// With the SDK's own configuration file, in which root adds profiles.
    fn session(&self) -> Session<'_> {
        Session::new(&self.place).with("AWS_CONFIG_FILE", self.place.path().join("config"))
    }

    fn put(&self, value: &str) {
        self.cloud.wait(self.cloud.account.put_secure("/app/prod/db/PASSWORD", value));
    }

    fn rotate(&self, value: &str) {
        self.cloud.wait(self.cloud.account.rotate("prod/db", &password(value)));
        self.put(value);
    }

    fn is_logged_in(&self, session: &Session<'_>, auth: &str, whoami: &str) {
        let scopes = self.scopes(auth);
        for (_, configuration) in &scopes {
            is_well(&session.check(configuration), whoami, "db");
        }
        let daemon = session.mount(&scopes.each_ref().map(|(_, configuration)| configuration.as_str()).concat());
        for (scope, _) in &scopes {
            let walk = Walk { place: &self.place, scope, secret: "db", key: "PASSWORD", old: OLD, new: NEW };
            walk.through(|| self.rotate(NEW));
            self.rotate(OLD);
        }
        assert!(daemon.stop().success());
    }
}

fn password(value: &str) -> Vec<u8> {
    json!({ "PASSWORD": value }).to_string().into_bytes()
}

fn allow(actions: &[&str]) -> String {
    let statement = json!({"Effect": "Allow", "Action": actions, "Resource": "*"});
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

const READS: [&str; 3] = ["secretsmanager:*", "ssm:*", "iam:SimulatePrincipalPolicy"];

#[test]
fn the_environments_keys_are_used() {
    let account = Account::new();
    let (id, secret) = account.cloud.account.server.user("app", &allow(&READS));
    let url = account.cloud.account.server.url();
    let session = account
        .session()
        .with_all(&[("AWS_ACCESS_KEY_ID", &id), ("AWS_SECRET_ACCESS_KEY", &secret)])
        .with_all(&[("AWS_ENDPOINT_URL_STS", &url), ("AWS_ENDPOINT_URL_IAM", &url)]);
    account.is_logged_in(&session, "", "arn:aws:iam::000000000000:user/app");
    let wrong = session.with("AWS_SECRET_ACCESS_KEY", "wrong").with("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE");
    let scopes = account.scopes("").map(|(_, configuration)| configuration).concat();
    let _daemon = wrong.mount(&scopes);
    for scope in ["secrets", "params"] {
        is_refused(&account.place.mnt().join(scope).join("db/PASSWORD"), libc::EKEYREJECTED, "");
    }
}

#[test]
fn a_profile_that_is_named_is_used_and_one_that_is_not_there_is_ekeyrejected() {
    let account = Account::new();
    let server = &account.cloud.account.server;
    let (id, secret) = server.user("app", &allow(&READS));
    account.cloud.account.profile("of-the-app", (&id, &secret), &server.url());
    let auth = "auth = { method = \"profile\", profile = \"of-the-app\" }";
    account.is_logged_in(&account.session(), auth, "arn:aws:iam::000000000000:user/app");

    let scopes = account.scopes("auth = { method = \"profile\", profile = \"none\" }");
    let _daemon = account.session().mount(&scopes.map(|(_, configuration)| configuration).concat());
    for scope in ["secrets", "params"] {
        is_refused(&account.place.mnt().join(scope).join("db/PASSWORD"), libc::EKEYREJECTED, "none");
    }
}

#[test]
fn a_role_is_taken_on_with_a_profile_and_its_external_id_and_not_with_another() {
    let account = Account::new();
    let server = &account.cloud.account.server;
    let (id, secret) = server.user("base", &allow(&["sts:AssumeRole"]));
    account.cloud.account.profile("base", (&id, &secret), &server.url());
    let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"},
        "Action": "sts:AssumeRole", "Condition": {"StringEquals": {"sts:ExternalId": "let-me-in"}}}]});
    let role = server.role("reader", &trust.to_string(), &allow(&READS));
    let auth = |external_id: &str| {
        format!(
            "auth = {{ method = \"role_arn\", role_arn = {role:?}, external_id = {external_id:?}, profile = \"base\" }}"
        )
    };
    account.is_logged_in(&account.session(), &auth("let-me-in"), "assumed-role/reader/hushfs-");

    let wrong = account.scopes(&auth("open-sesame"));
    let (status, found) = account.session().check(&wrong[0].1);
    assert_eq!((status, &found["whoami"]["failed"]["kind"]), (Some(69), &json!("credentials_rejected")), "{found:#}");
    let _daemon = account.session().mount(&wrong.map(|(_, configuration)| configuration).concat());
    for scope in ["secrets", "params"] {
        is_refused(&account.place.mnt().join(scope).join("db/PASSWORD"), libc::EKEYREJECTED, "AssumeRole");
    }
}

#[test]
fn parameters_of_every_type_and_label_are_read() {
    let account = Account::new();
    let aws = &account.cloud.account;
    account.cloud.wait(async {
        aws.put_parameter("/app/prod/db/HOSTS", "a,b, c", ParameterType::StringList).await;
        aws.put_parameter("/app/prod/db/USER", "app", ParameterType::String).await;
        let version = aws.put_secure("/app/prod/db/PASSWORD", NEW).await;
        let label = aws.parameters.label_parameter_version().name("/app/prod/db/PASSWORD");
        label.parameter_version(version).labels("release-7").send().await.expect("a label");
        aws.put_secure("/app/prod/db/PASSWORD", "the third").await;
    });
    let [_, (_, configuration)] = account.scopes("");
    let _daemon = account.cloud.mount_as(&account.place, &configuration, Some(ROOT_KEYS));
    let db = account.place.mnt().join("params/db");
    assert_eq!(ls(&db), ["HOSTS", "PASSWORD", "USER"]);
    for (file, value) in [
        ("HOSTS", "a,b, c"),
        ("USER", "app"),
        ("PASSWORD", "the third"),
        ("@1/PASSWORD", OLD),
        ("@release-7/PASSWORD", NEW),
        ("@1/HOSTS", "a,b, c"),
    ] {
        assert_eq!(cat(&db.join(file)), value, "{file}");
    }
    assert_eq!(ls(&db.join("@release-7")), ["PASSWORD"]);
    assert_eq!(errno_of_reading(&db.join("@release-8/PASSWORD")), Some(libc::ENOENT));
}
