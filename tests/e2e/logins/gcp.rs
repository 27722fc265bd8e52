//! Google's credentials, with the addresses that Google has: a proxy connects them to the server of `support/gcp.rs`,
//! over TLS.

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::support::connect_proxy::ConnectProxy;
use crate::support::daemon::Place;
use crate::support::gcp::Gcp;
use crate::support::session::Session;
use crate::support::tls::Terminator;
use crate::support::walk::{Walk, cat, is_refused, is_well};

const OLD: &str = "the value itself";
const NEW: &str = "another value";
/// What the token service gives a user.
const USER: &str = "from-oauth";
const READER: &str = "reader@my-project.iam.gserviceaccount.com";

struct Google {
    place: Place,
    server: Gcp,
    tls: Terminator,
    proxy: ConnectProxy,
}

impl Google {
    /// With the secret `prod-db`.
    fn new() -> Self {
        let server = Gcp::start();
        server.create("prod-db", &password(OLD));
        let tls = Terminator::start(server.address());
        let hosts = [
            "secretmanager.googleapis.com:443",
            "secretmanager.europe-west3.rep.googleapis.com:443",
            "iamcredentials.googleapis.com:443",
            "oauth2.googleapis.com:443",
        ];
        let proxy = ConnectProxy::instead_of(&hosts, tls.address());
        Self { place: Place::new(), server, tls, proxy }
    }

    fn session(&self) -> Session<'_> {
        Session::new(&self.place).with("HTTPS_PROXY", self.proxy.url()).trusting(&self.tls.ca_file())
    }

    /// As after `gcloud auth application-default login`, in a file that the environment names.
    fn session_of_a_user(&self) -> Session<'_> {
        let user = json!({"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r",
            "account": "me@example.com"});
        self.session().with("GOOGLE_APPLICATION_CREDENTIALS", self.place.private("user.json", &user.to_string()))
    }

    fn walk(&self, rotate: impl FnOnce()) {
        let walk = Walk { place: &self.place, scope: "gcp", secret: "db", key: "PASSWORD", old: OLD, new: NEW };
        walk.through(rotate);
    }

    fn rotate(&self) {
        self.server.add_version("prod-db", &password(NEW));
    }

    fn file(&self) -> PathBuf {
        self.place.mnt().join("gcp/db/PASSWORD")
    }
}

fn password(value: &str) -> Vec<u8> {
    json!({ "PASSWORD": value }).to_string().into_bytes()
}

fn scope(more: &str) -> String {
    format!("[scopes.gcp]\nprovider = \"gcp-secret-manager\"\nproject = \"my-project\"\nprefix = \"prod-\"\n{more}\n")
}

#[test]
fn a_users_application_default_credentials_read_at_googles_own_address() {
    let google = Google::new();
    google.server.grant_all(USER);
    let session = google.session_of_a_user();
    is_well(&session.check(&scope("")), "user me@example.com", "db");
    let _daemon = session.mount(&scope(""));
    google.walk(|| google.rotate());
    assert!(google.proxy.connections() > 0);
}

#[test]
fn regional_secrets_are_read_at_their_locations_address_and_are_not_the_global_ones() {
    let google = Google::new();
    let parent = "projects/my-project/locations/europe-west3";
    google.server.create_in(parent, "prod-here", &password(OLD));
    google.server.grant_all(USER);
    let configuration = scope("location = \"europe-west3\"");
    let session = google.session_of_a_user();
    is_well(&session.check(&configuration), "user me@example.com", "here");
    let _daemon = session.mount(&configuration);
    let walk = Walk { place: &google.place, scope: "gcp", secret: "here", key: "PASSWORD", old: OLD, new: NEW };
    walk.through(|| drop(google.server.add_version_in(parent, "prod-here", &password(NEW))));
    is_refused(&google.file(), libc::ENOENT, "");
    let asked = google.proxy.asked();
    assert!(asked.iter().any(|it| it == "secretmanager.europe-west3.rep.googleapis.com:443"), "{asked:?}");
    assert!(!asked.iter().any(|it| it == "secretmanager.googleapis.com:443"), "{asked:?}");
}

#[test]
fn a_service_account_that_is_impersonated_reads_and_one_that_may_not_be_is_ekeyrejected() {
    let google = Google::new();
    google.server.grant_impersonation(USER, READER);
    google.server.grant_all(&Gcp::token_of(READER));
    let configuration =
        |account: &str| scope(&format!("auth = {{ method = \"impersonate\", service_account = {account:?} }}"));
    let session = google.session_of_a_user();
    is_well(&session.check(&configuration(READER)), &format!("service account {READER}"), "db");
    let daemon = session.mount(&configuration(READER));
    google.walk(|| google.rotate());
    assert!(daemon.stop().success());

    let nobody = "nobody@my-project.iam.gserviceaccount.com";
    let _daemon = session.mount(&configuration(nobody));
    is_refused(&google.file(), libc::EKEYREJECTED, "roles/iam.serviceAccountTokenCreator");
}

/// The key file of a service account.
fn key_file(place: &Place) -> PathBuf {
    crate::support::missing::program("openssl", "openssl");
    let mut openssl = Command::new("openssl");
    openssl.args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    let key = openssl.output().expect("openssl runs");
    assert!(key.status.success(), "{key:?}");
    let key = json!({
        "type": "service_account", "project_id": "my-project", "private_key_id": "1", "client_email": READER,
        "private_key": String::from_utf8(key.stdout).expect("PEM"), "token_uri": "https://oauth2.googleapis.com/token",
    });
    place.private("key.json", &key.to_string())
}

#[test]
fn a_service_accounts_key_file_is_used_unless_every_user_may_read_it() {
    let google = Google::new();
    google.server.trust_signer(READER);
    let key = key_file(&google.place);
    let configuration = scope(&format!("auth = {{ method = \"service-account\", key_file = {key:?} }}"));
    let session = google.session();
    is_well(&session.check(&configuration), &format!("service account {READER}"), "db");
    let daemon = session.mount(&configuration);
    google.walk(|| google.rotate());
    assert!(daemon.stop().success());

    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let refused = session.hushfs(&["mount"]).output().expect("hushfs runs");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(78) && said.contains("chmod 600"), "{said}");
}

#[test]
fn an_access_token_that_is_replaced_in_its_file_counts_at_the_next_call() {
    let google = Google::new();
    google.server.grant_all("first-token");
    let token = google.place.private("token", "first-token\n");
    let configuration =
        scope(&format!("negative_ttl = \"100ms\"\nauth = {{ method = \"access-token\", token_file = {token:?} }}"));
    let session = google.session();
    is_well(&session.check(&configuration), "whoever the access token in", "db");
    let _daemon = session.mount(&configuration);
    google.walk(|| {
        google.rotate();
        google.server.revoke("first-token");
        google.server.grant_all("second-token");
        google.place.private("token", "second-token\n");
    });
    google.server.revoke("second-token");
    google.place.refused_refresh(&google.file());
    is_refused(&google.file(), libc::EKEYREJECTED, "credentials");
    google.server.grant_all("third-token");
    google.place.private("token", "third-token\n");
    crate::support::daemon::eventually("it is read again", || std::fs::read(google.file()).ok());
    assert_eq!(cat(&google.file()), NEW);
    let log = google.place.log();
    assert!(!log.contains("-token"), "{log}");
}
