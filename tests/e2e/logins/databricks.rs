//! Databricks' credentials, on the workspace of `support/databricks.rs`.

use std::path::PathBuf;

use crate::support::daemon::{Place, eventually};
use crate::support::databricks::Workspace;
use crate::support::session::Session;
use crate::support::walk::{Walk, cat, is_refused, is_well};

const OLD: &str = "the value itself";
const NEW: &str = "another value";
const PERSON: &str = "me@example.com";
const CLIENT: &str = "5a7b1c9e-service-principal";
const SECRET: &str = "marked-oauth-secret";

struct Lake {
    place: Place,
    workspace: Workspace,
}

impl Lake {
    /// With the secret scope `prod-airflow`, which a person and a service principal may read.
    fn new() -> Self {
        let workspace = Workspace::start();
        workspace.put("prod-airflow", "PASSWORD", OLD.as_bytes());
        for reader in [PERSON, CLIENT] {
            workspace.allow("prod-airflow", reader, "READ");
        }
        workspace.client(CLIENT, SECRET);
        Self { place: Place::new(), workspace }
    }

    fn scope(&self, more: &str) -> String {
        format!(
            "[scopes.lake]\nprovider = \"databricks\"\nhost = {:?}\nprefix = \"prod-\"\nnegative_ttl = \"100ms\"\n{more}\n",
            self.workspace.url()
        )
    }

    fn put(&self, value: &str) {
        self.workspace.put("prod-airflow", "PASSWORD", value.as_bytes());
    }

    fn is_logged_in(&self, session: &Session<'_>, configuration: &str, whoami: &str) {
        is_well(&session.check(configuration), whoami, "airflow");
        let daemon = session.mount(configuration);
        let walk = Walk { place: &self.place, scope: "lake", secret: "airflow", key: "PASSWORD", old: OLD, new: NEW };
        walk.through(|| self.put(NEW));
        let log = self.place.log();
        assert!(!log.contains("marked") && !log.contains("dapi-"), "{log}");
        assert!(daemon.stop().success());
        self.put(OLD);
    }

    fn file(&self) -> PathBuf {
        self.place.mnt().join("lake/airflow/PASSWORD")
    }

    /// What is in the credential's file counts at the next call, for better or worse.
    fn follows_its_file(&self, name: &str, says: &str, mend: impl FnOnce()) {
        assert_eq!(cat(&self.file()), OLD);
        self.place.private(name, "marked-wrong");
        self.place.refused_refresh(&self.file());
        is_refused(&self.file(), libc::EKEYREJECTED, says);
        mend();
        eventually("it is read again", || std::fs::read(self.file()).ok());
        assert_eq!(cat(&self.file()), OLD);
    }
}

#[test]
fn a_personal_access_token_reads_and_one_that_replaces_it_counts_at_the_next_call() {
    let lake = Lake::new();
    let token = lake.place.private("token", &lake.workspace.token(PERSON));
    let configuration = lake.scope(&format!("auth = {{ method = \"pat\", token_file = {token:?} }}"));
    let session = Session::new(&lake.place);
    lake.is_logged_in(&session, &configuration, PERSON);

    let _daemon = session.mount(&configuration);
    let next = lake.workspace.token(PERSON);
    lake.follows_its_file("token", "Invalid access token", || drop(lake.place.private("token", &next)));
}

#[test]
fn a_service_principal_logs_in_with_its_oauth_secret_and_the_next_one() {
    let lake = Lake::new();
    let secret = lake.place.private("client-secret", SECRET);
    let configuration = lake.scope(&format!(
        "auth = {{ method = \"oauth-m2m\", client_id = {CLIENT:?}, client_secret_file = {secret:?} }}"
    ));
    let session = Session::new(&lake.place);
    lake.is_logged_in(&session, &configuration, CLIENT);

    let _daemon = session.mount(&configuration);
    assert_eq!(cat(&lake.file()), OLD);
    // A token that is refused is replaced within the read.
    lake.workspace.revoke_all();
    assert!(lake.place.run(&["refresh", &lake.file().to_string_lossy()]).status.success());
    lake.follows_its_file("client-secret", "invalid_client", || {
        lake.workspace.client(CLIENT, "marked-next-secret");
        lake.place.private("client-secret", "marked-next-secret");
    });
}

#[test]
fn the_environment_and_its_profile_say_who_we_are() {
    let lake = Lake::new();
    let (host, token) = (lake.workspace.url(), lake.workspace.token(PERSON));
    let by_token = Session::new(&lake.place).with("DATABRICKS_TOKEN", &token);
    lake.is_logged_in(&by_token, &lake.scope(""), PERSON);
    let by_secret =
        Session::new(&lake.place).with_all(&[("DATABRICKS_CLIENT_ID", CLIENT), ("DATABRICKS_CLIENT_SECRET", SECRET)]);
    lake.is_logged_in(&by_secret, &lake.scope(""), CLIENT);

    lake.place.private(".databrickscfg", &format!("[DEFAULT]\nhost = {host}\ntoken = {token}\n"));
    lake.is_logged_in(&Session::new(&lake.place), &lake.scope(""), PERSON);
    let profiles = format!(
        "[DEFAULT]\nhost = https://another.example\ntoken = dapi-another\n\
                            [lake]\nhost = {host}\nclient_id = {CLIENT}\nclient_secret = {SECRET}\n"
    );
    let file = lake.place.private("profiles", &profiles);
    let by_profile =
        Session::new(&lake.place).with("DATABRICKS_CONFIG_FILE", file).with("DATABRICKS_CONFIG_PROFILE", "lake");
    // It may also be what says where the workspace is.
    let no_host = lake.scope("").replace(&format!("host = {host:?}\n"), "");
    lake.is_logged_in(&by_profile, &no_host, CLIENT);
}
