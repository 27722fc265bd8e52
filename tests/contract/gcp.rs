//! Google Cloud Secret Manager, on the server of `support/gcp.rs`, which is ours: see there what that shows.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use hushfs::config::{CacheSettings, Format, GcpAuth, GcpSecretManagerSettings, ProviderSettings, Scope, ScopeName};
use hushfs::provider::{ErrorKind, Known, VersionSelector};
use serde_json::json;

use crate::suite::{self, Abilities, Fixture, MARK, expect_error};
use crate::support::fault_proxy::Fault;
use crate::support::gcp::{Gcp, PROJECT};
use crate::support::own_process;
use crate::test_name;

/// A scope with a prefix, in a project that has secrets beside it.
pub struct Google {
    pub server: Gcp,
    /// The home of this process.
    pub folder: PathBuf,
}

const PREFIX: &str = "prod-";

/// Runs `body` with a server of its own, in a process of its own.
pub fn run(test: &str, body: impl AsyncFnOnce(Google)) {
    own_process::run(test, |folder: &Path| {
        let server = Gcp::start();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(async {
            server.create("beside", MARK.as_bytes());
            server.create("not-prod-beside", MARK.as_bytes());
            body(Google { server, folder: folder.to_owned() }).await;
        });
    });
}

contract!(run);

impl Fixture for Google {
    fn scope(&self) -> Scope {
        self.scope_with(|_| {})
    }

    async fn put(&self, name: &str, bytes: &[u8]) {
        self.server.create(&full(name), bytes);
    }

    async fn put_all(&self, names: &[String], bytes: &[u8]) {
        for name in names {
            self.put(name, bytes).await;
        }
    }

    async fn rotate(&self, name: &str, bytes: &[u8]) {
        self.server.add_version(&full(name), bytes);
    }

    async fn delete(&self, name: &str) {
        self.server.delete(&full(name));
    }

    fn abilities(&self) -> Abilities {
        Abilities { empty_values: false, versions: true }
    }

    fn spell(&self, name: &str) -> String {
        name.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
    }

    fn has_folders(&self) -> bool {
        false
    }

    fn set_fault(&self, fault: Fault) -> bool {
        self.server.set("*", fault);
        true
    }

    fn with_bad_credentials(&self) -> Option<Scope> {
        self.server.grant_all("good");
        Some(self.scope_as(GcpAuth::AccessToken { token_file: self.token_file("bad") }))
    }
}

fn full(name: &str) -> String {
    format!("{PREFIX}{name}")
}

impl Google {
    pub fn scope_with(&self, change: impl FnOnce(&mut GcpSecretManagerSettings)) -> Scope {
        let mut settings = GcpSecretManagerSettings {
            project: PROJECT.into(),
            location: None,
            prefix: PREFIX.into(),
            endpoint_url: Some(self.server.url()),
            auth: GcpAuth::Anonymous,
        };
        change(&mut settings);
        Scope {
            name: ScopeName::new("gcp").expect("a scope's name"),
            // Long, so that a slow machine fails nothing; tests of the timeout set their own.
            cache: CacheSettings { timeout: Duration::from_secs(60), ..CacheSettings::default() },
            format: Format::Auto,
            provider: ProviderSettings::GcpSecretManager(settings),
        }
    }

    pub fn scope_as(&self, auth: GcpAuth) -> Scope {
        self.scope_with(|settings| settings.auth = auth)
    }

    /// A file of the test's own with this token in it.
    pub fn token_file(&self, token: &str) -> PathBuf {
        let path = self.folder.join("token");
        private(&path, &format!("{token}\n"));
        path
    }

    pub fn provider_with_token(&self, token: &str) -> std::sync::Arc<dyn hushfs::provider::Provider> {
        suite::build(self.scope_as(GcpAuth::AccessToken { token_file: self.token_file(token) }))
    }

    fn application_default(&self, json: &serde_json::Value) {
        let folder = self.folder.join(".config/gcloud");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("application_default_credentials.json"), json.to_string()).expect("a file");
    }
}

/// A file with mode 0600.
fn private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).expect("a file");
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).expect("its mode");
}

fn named(text: &str) -> VersionSelector {
    VersionSelector::Named(text.into())
}

#[test]
fn a_version_is_found_by_its_alias_and_says_its_number() {
    run(test_name!(), async |google| {
        google.put("db", b"first").await;
        google.rotate("db", b"second").await;
        google.server.alias("prod-db", "blue", 1);
        let provider = suite::provider(&google);
        for (alias, number, value) in [("blue", "1", "first"), ("latest", "2", "second")] {
            let fetched = suite::fetch(&*provider, "db", &named(alias)).await;
            assert!(fetched.payload.raw.expose() == value.as_bytes(), "{alias}");
            assert_eq!(fetched.version, number);
        }
        assert_eq!(suite::current(&*provider, "db").await.version, "2");
    });
}

#[test]
fn a_version_that_is_off_is_not_found_and_the_error_says_its_state() {
    run(test_name!(), async |google| {
        for value in ["1", "2", "3"] {
            if value == "1" {
                google.put("db", MARK.as_bytes()).await;
            } else {
                google.rotate("db", MARK.as_bytes()).await;
            }
        }
        google.server.destroy("prod-db", 1);
        google.server.disable("prod-db", 3);
        let provider = suite::provider(&google);
        for (version, state) in
            [(named("1"), "DESTROYED"), (named("3"), "DISABLED"), (VersionSelector::Current, "DISABLED")]
        {
            let error = expect_error(provider.fetch(&suite::name("db"), &version).await, ErrorKind::NotFound);
            assert!(error.detail.contains(state), "{error}");
        }
        assert_eq!(suite::fetch(&*provider, "db", &VersionSelector::Previous).await.version, "2");
        google.server.disable("prod-db", 2);
        let fetched = provider.fetch(&suite::name("db"), &VersionSelector::Previous).await;
        expect_error(fetched, ErrorKind::NotFound);
    });
}

#[test]
fn the_previous_version_is_found_behind_many_that_are_off() {
    run(test_name!(), async |google| {
        google.put("db", MARK.as_bytes()).await;
        for number in 2..=250 {
            google.rotate("db", MARK.as_bytes()).await;
            if number < 250 {
                google.server.disable("prod-db", number);
            }
        }
        let provider = suite::provider(&google);
        assert_eq!(suite::fetch(&*provider, "db", &VersionSelector::Previous).await.version, "1");
        assert_eq!(google.server.calls("ListSecretVersions"), 3);
    });
}

#[test]
fn who_may_only_access_reads_the_previous_version_too_and_no_times() {
    run(test_name!(), async |google| {
        google.put("db", b"first").await;
        google.rotate("db", b"second").await;
        google.rotate("db", b"third").await;
        google.server.disable("prod-db", 2);
        google.server.grant("accessor", "versions.access", "prod-");
        let provider = google.provider_with_token("accessor");
        let fetched = suite::fetch(&*provider, "db", &VersionSelector::Previous).await;
        assert!(fetched.payload.raw.expose() == b"first" && fetched.version == "1");
        assert_eq!(fetched.created, None);
        suite::current(&*provider, "db").await;
        assert_eq!(google.server.calls("GetSecretVersion"), 1, "a refusal is remembered");
        let presence = suite::look(&*provider, "db").await;
        assert_eq!((presence.secret, presence.children), (Known::Unknown, Known::No));
        expect_error(provider.list().await, ErrorKind::Denied);
    });
}

#[test]
fn a_fetch_is_one_access_and_a_versions_time_is_asked_for_once() {
    run(test_name!(), async |google| {
        google.put("db", MARK.as_bytes()).await;
        let provider = suite::provider(&google);
        for _ in 0..3 {
            let created = suite::current(&*provider, "db").await.created;
            assert!(created.is_some_and(|time| time < SystemTime::now()), "{created:?}");
        }
        let server = &google.server;
        assert_eq!((server.calls("AccessSecretVersion"), server.calls("GetSecretVersion")), (3, 1));
        assert_eq!(server.all_calls(), 4);
        assert!(server.user_agent().contains("hushfs/"), "{}", server.user_agent());
    });
}

#[test]
fn a_version_whose_time_nobody_tells_is_served_without() {
    run(test_name!(), async |google| {
        google.put("db", MARK.as_bytes()).await;
        google.server.set("GetSecretVersion", crate::support::fault_proxy::Fault::Hang);
        let mut scope = google.scope();
        scope.cache.timeout = Duration::from_secs(16);
        let provider = suite::build(scope);
        let fetched = suite::current(&*provider, "db").await;
        assert!(fetched.payload.raw.expose() == MARK.as_bytes() && fetched.created.is_none());
    });
}

#[test]
fn labels_are_tags_and_come_along_without_a_call_of_their_own() {
    run(test_name!(), async |google| {
        google.put("db", MARK.as_bytes()).await;
        google.server.label("prod-db", "team", "data");
        google.server.label("prod-db", "env", "prod");
        let provider = suite::provider(&google);
        suite::listing(&*provider).await;
        google.server.forget_calls();
        let fetched = suite::current(&*provider, "db").await;
        let tags = [("env", "prod"), ("team", "data")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(fetched.tags, tags);
        assert_eq!(fetched.source, "projects/my-project/secrets/prod-db");
        assert_eq!(google.server.calls("GetSecret"), 0);
    });
}

#[test]
fn a_listing_goes_through_all_pages_and_takes_the_prefix_only() {
    run(test_name!(), async |google| {
        google.server.largest_page(400);
        let names: Vec<String> = (0..1100).map(|n| format!("s{n:04}")).collect();
        google.put_all(&names, MARK.as_bytes()).await;
        google.server.create("x-prod-y", MARK.as_bytes());
        google.server.create("prod-", MARK.as_bytes());
        let provider = suite::provider(&google);
        let listing = suite::listing(&*provider).await;
        let listed: Vec<String> = listing.secrets.iter().map(|it| it.name.to_string()).collect();
        assert_eq!(listed, names);
        assert_eq!(google.server.calls("ListSecrets"), 3);
        assert_eq!(listing.left_out.len(), 1, "{:?}", listing.left_out);
    });
}

#[test]
fn a_checksum_that_does_not_fit_is_malformed_and_never_served() {
    run(test_name!(), async |google| {
        google.put("db", MARK.as_bytes()).await;
        let provider = suite::provider(&google);
        google.server.checksum("prod-db", Some(7));
        let fetched = provider.fetch(&suite::name("db"), &VersionSelector::Current).await;
        let error = expect_error(fetched, ErrorKind::Malformed);
        assert!(error.detail.contains("checksum"), "{error}");
        google.server.checksum("prod-db", None);
        assert!(suite::current(&*provider, "db").await.payload.raw.expose() == MARK.as_bytes());
    });
}

#[test]
fn a_location_has_secrets_of_its_own() {
    run(test_name!(), async |google| {
        google.put("db", b"global").await;
        google.server.create_in("projects/my-project/locations/europe-west3", "prod-db", b"regional");
        google.server.create_in("projects/my-project/locations/europe-west3", "prod-here", b"regional");
        let scope = google.scope_with(|settings| settings.location = Some("europe-west3".into()));
        let provider = suite::build(scope);
        assert_eq!(suite::listing(&*provider).await.secrets.len(), 2);
        let fetched = suite::current(&*provider, "db").await;
        assert!(fetched.payload.raw.expose() == b"regional");
        assert_eq!(fetched.source, "projects/my-project/locations/europe-west3/secrets/prod-db");
        assert_eq!(suite::look(&*provider, "here").await.secret, Known::Yes);
        assert_eq!(suite::look(&*suite::provider(&google), "here").await.secret, Known::No);
    });
}

#[test]
fn a_name_that_cannot_exist_costs_no_call() {
    run(test_name!(), async |google| {
        let provider = suite::provider(&google);
        for name in ["a/b", "../beside", "a.b", "a:access", "a?x=1", "a/versions/1"] {
            expect_error(provider.fetch(&suite::name(name), &VersionSelector::Current).await, ErrorKind::NotFound);
            assert_eq!(suite::look(&*provider, name).await.secret, Known::No);
        }
        for version in ["0", "01", "1/../../x", "latest:access", ""] {
            expect_error(provider.fetch(&suite::name("db"), &named(version)).await, ErrorKind::NotFound);
        }
        assert_eq!(google.server.all_calls(), 0);
    });
}

#[test]
fn an_iam_refusal_is_denied() {
    run(test_name!(), async |google| {
        google.put("mine", MARK.as_bytes()).await;
        google.put("other", MARK.as_bytes()).await;
        google.server.grant("reader", "versions.access", "prod-mine");
        let provider = google.provider_with_token("reader");
        assert!(suite::current(&*provider, "mine").await.payload.raw.expose() == MARK.as_bytes());
        let fetched = provider.fetch(&suite::name("other"), &VersionSelector::Current).await;
        let error = expect_error(fetched, ErrorKind::Denied);
        assert!(error.detail.contains("prod-other") && error.detail.contains("versions.access"), "{error}");
    });
}

#[test]
fn credentials_that_google_refuses_are_credentials_rejected() {
    run(test_name!(), async |google| {
        google.put("db", MARK.as_bytes()).await;
        google.server.grant_all("good");
        for provider in [google.provider_with_token("bad"), suite::provider(&google)] {
            let fetched = provider.fetch(&suite::name("db"), &VersionSelector::Current).await;
            expect_error(fetched, ErrorKind::CredentialsRejected);
            expect_error(provider.list().await, ErrorKind::CredentialsRejected);
            expect_error(provider.look(&suite::name("db")).await, ErrorKind::CredentialsRejected);
        }
    });
}

#[test]
fn a_token_that_was_replaced_in_its_file_is_used_at_once() {
    run(test_name!(), async |google| {
        google.put("db", MARK.as_bytes()).await;
        google.server.grant_all("first");
        let provider = google.provider_with_token("first");
        suite::current(&*provider, "db").await;
        google.server.revoke("first");
        google.server.grant_all("second");
        let fetched = provider.fetch(&suite::name("db"), &VersionSelector::Current).await;
        expect_error(fetched, ErrorKind::CredentialsRejected);
        google.token_file("second");
        suite::current(&*provider, "db").await;
        assert!(!provider.whoami().await.expect("an answer").contains("second"), "the token itself");
        std::fs::remove_file(google.folder.join("token")).expect("the file");
        let error = expect_error(provider.list().await, ErrorKind::CredentialsRejected);
        assert!(error.detail.contains("token_file"), "{error}");
    });
}

/// The key file of a service account; its public key beside it.
fn key_file(folder: &Path, email: &str) -> PathBuf {
    crate::support::missing::program("openssl", "openssl");
    let (private, public) = (folder.join("key.pem"), folder.join("public.pem"));
    let openssl = |args: &[&str]| {
        let status = Command::new("openssl").args(args).stderr(std::process::Stdio::null()).status();
        assert!(status.expect("openssl runs").success());
    };
    let (private_text, public_text) = (private.to_str().unwrap(), public.to_str().unwrap());
    openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", private_text]);
    openssl(&["pkey", "-in", private_text, "-pubout", "-out", public_text]);
    let key = json!({
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "1",
        "private_key": std::fs::read_to_string(&private).unwrap(),
        "client_email": email,
        "token_uri": "http://127.0.0.1:9/token",
    });
    let path = folder.join("key.json");
    self::private(&path, &key.to_string());
    path
}

#[test]
fn a_service_accounts_key_file_signs_its_own_tokens() {
    run(test_name!(), async |google| {
        google.put("db", MARK.as_bytes()).await;
        let email = "app@my-project.iam.gserviceaccount.com";
        google.server.trust_signer(email);
        let provider =
            suite::build(google.scope_as(GcpAuth::ServiceAccount { key_file: key_file(&google.folder, email) }));
        assert!(suite::current(&*provider, "db").await.payload.raw.expose() == MARK.as_bytes());
        assert_eq!(provider.whoami().await.expect("an answer"), format!("service account {email}"));

        let token = google.server.bearers().pop().expect("a token");
        let (signed, signature) = token.rsplit_once('.').expect("a JWT");
        use base64::Engine;
        let signature = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(signature).expect("base64");
        std::fs::write(google.folder.join("signature"), signature).unwrap();
        std::fs::write(google.folder.join("signed"), signed).unwrap();
        let verified = Command::new("openssl")
            .current_dir(&google.folder)
            .args(["dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", "signed"])
            .status();
        assert!(verified.expect("openssl runs").success(), "the key of the file did not sign it");
    });
}

#[test]
fn odd_credentials_files_are_credentials_rejected_and_never_quoted() {
    run(test_name!(), async |google| {
        let path = google.folder.join("odd.json");
        let scope = google.scope_as(GcpAuth::ServiceAccount { key_file: path.clone() });
        let pem = format!("-----BEGIN PRIVATE KEY-----\\n{MARK}\\n-----END PRIVATE KEY-----\\n");
        let fields = format!(r#""client_email":"a@b.c","private_key_id":"1","project_id":"p","private_key":"{pem}""#);
        let odd = [
            MARK.to_owned(),
            format!(r#"{{"type":"{MARK}"}}"#),
            format!(r#"{{"type":"service_account","private_key":["{MARK}"]}}"#),
            r#"{"type":"service_account"}"#.to_owned(),
            format!(r#"{{"type":"service_account",{fields}}}"#),
            "[]".to_owned(),
            String::new(),
        ];
        for text in odd {
            private(&path, &text);
            expect_error(suite::build(scope.clone()).list().await, ErrorKind::CredentialsRejected);
        }
        std::fs::remove_file(&path).unwrap();
        expect_error(suite::build(scope.clone()).list().await, ErrorKind::CredentialsRejected);
        google.application_default(&json!({"type": "authorized_user", "client_id": [MARK]}));
        let default = suite::build(google.scope_as(GcpAuth::ApplicationDefault));
        expect_error(default.list().await, ErrorKind::CredentialsRejected);
        assert_eq!(google.server.all_calls(), 0);
    });
}

#[test]
fn application_default_credentials_are_those_of_the_users_file() {
    run(test_name!(), async |google| {
        google.put("db", MARK.as_bytes()).await;
        let url = google.server.url();
        let user = json!({
            "type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r",
            "token_uri": format!("{url}/token"),
        });
        google.application_default(&user);
        google.server.grant_all("from-oauth");
        let provider = suite::build(google.scope_as(GcpAuth::ApplicationDefault));
        suite::current(&*provider, "db").await;

        let email = "reader@my-project.iam.gserviceaccount.com";
        let impersonation = format!("{url}/v1/projects/-/serviceAccounts/{email}:generateAccessToken");
        google.application_default(&json!({
            "type": "impersonated_service_account", "service_account_impersonation_url": impersonation,
            "source_credentials": user,
        }));
        google.server.revoke("from-oauth");
        google.server.grant_impersonation("from-oauth", email);
        google.server.grant_all(&Gcp::token_of(email));
        let provider = suite::build(google.scope_as(GcpAuth::ApplicationDefault));
        suite::current(&*provider, "db").await;
        assert_eq!(google.server.calls("GenerateAccessToken"), 1, "the account's token is kept");
        assert_eq!(provider.whoami().await.expect("an answer"), format!("service account {email}"));
    });
}

#[test]
fn permissions_are_what_iam_says_of_secrets_that_are_there() {
    run(test_name!(), async |google| {
        for name in ["mine", "other"] {
            google.put(name, MARK.as_bytes()).await;
        }
        google.server.grant("reader", "versions.access", "prod-mine");
        google.server.grant("reader", "secrets.list", "");
        let provider = google.provider_with_token("reader");
        let names = ["mine", "other", "none", "no/name"].map(suite::name);
        let ask = async || {
            let answers = provider.permissions(None, &names).await.unwrap_or_else(|error| panic!("{error}"));
            answers.into_iter().map(|answer| answer.read).collect::<Vec<_>>()
        };
        // Nothing is known of what is there: then no answer is no answer.
        assert_eq!(ask().await, [Known::Yes, Known::Unknown, Known::Unknown, Known::Unknown]);
        suite::listing(&*provider).await;
        assert_eq!(ask().await, [Known::Yes, Known::No, Known::Unknown, Known::Unknown]);
        assert_eq!(google.server.calls("AccessSecretVersion"), 0);
    });
}

#[test]
fn no_more_than_two_hundred_secrets_are_asked_about() {
    run(test_name!(), async |google| {
        let names: Vec<String> = (0..250).map(|n| format!("s{n}")).collect();
        google.put_all(&names, MARK.as_bytes()).await;
        let provider = suite::provider(&google);
        let names: Vec<_> = names.iter().map(|name| suite::name(name)).collect();
        let answers = provider.permissions(None, &names).await.unwrap_or_else(|error| panic!("{error}"));
        let count = |known| answers.iter().filter(|answer| answer.read == known).count();
        assert_eq!((count(Known::Yes), count(Known::Unknown)), (200, 50));
        assert_eq!(google.server.calls("TestIamPermissions"), 200);
    });
}
