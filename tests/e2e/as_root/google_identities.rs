//! Callers for whom Google is asked as different service accounts, on the server of `support/gcp.rs`. Tokens come
//! from `iamcredentials.googleapis.com`, which a proxy connects to that server, over TLS.

use std::process::Command;

use super::grants::{cat, grant, ls, run};
use crate::gcp::google;
use crate::support::connect_proxy::ConnectProxy;
use crate::support::daemon::{Daemon, HUSHFS, Place, eventually};
use crate::support::gcp::Gcp;
use crate::support::tls::Terminator;
use crate::support::users::private_mounts;

/// Users, and the service accounts that they have: the scope's own may not impersonate the last one.
const USERS: [(u32, &str); 3] = [
    (2001, "alpha@my-project.iam.gserviceaccount.com"),
    (2002, "beta@my-project.iam.gserviceaccount.com"),
    (2003, "gamma@my-project.iam.gserviceaccount.com"),
];
const OWN: &str = "own";

struct World {
    place: Place,
    server: Gcp,
    tls: Terminator,
    proxy: ConnectProxy,
}

impl World {
    /// `alpha` may read `db` and `both`, `beta` may read `both`.
    fn new() -> Self {
        let place = Place::new();
        private_mounts(&place, 0);
        std::fs::set_permissions(place.mnt(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let server = Gcp::start();
        for name in ["db", "both"] {
            server.create(name, b"the value itself");
        }
        let [(_, alpha), (_, beta), (_, gamma)] = USERS;
        for account in [alpha, beta] {
            server.grant_impersonation(OWN, account);
        }
        server.grant_all(OWN);
        for account in [alpha, beta, gamma] {
            for permission in ["secrets.list", "secrets.get", "versions.get"] {
                server.grant(&Gcp::token_of(account), permission, "");
            }
        }
        server.grant(&Gcp::token_of(alpha), "versions.access", "");
        server.grant(&Gcp::token_of(beta), "versions.access", "both");
        let tls = Terminator::start(server.address());
        let proxy = ConnectProxy::instead_of(&["iamcredentials.googleapis.com:443"], tls.address());
        Self { place, server, tls, proxy }
    }

    fn configuration(&self) -> String {
        let token = self.place.path().join("token");
        std::fs::write(&token, OWN).unwrap();
        std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let identity = |(uid, account): (u32, &str)| {
            format!("[[identity]]\nprincipals = [\"uid:{uid}\"]\nscopes = [\"gcp\"]\ngcp.impersonate = {account:?}\n")
        };
        format!(
            "allow_other = true\n{}{}[scopes.gcp]\nprovider = \"gcp-secret-manager\"\nproject = \"my-project\"\n\
             endpoint_url = {:?}\nauth = {{ method = \"access-token\", token_file = {token:?} }}\n",
            grant("allow", "everyone", "read", "gcp/**"),
            USERS.map(identity).concat(),
            self.server.url(),
        )
    }

    fn environment(&self, command: Command) -> Command {
        let mut command = google(command, &self.place, "127.0.0.1:9");
        command.env("SSL_CERT_FILE", self.tls.ca_file()).env_remove("SSL_CERT_DIR");
        command.env("HTTPS_PROXY", self.proxy.url()).env("NO_PROXY", "127.0.0.1");
        command
    }

    fn mount(&self) -> Daemon<'_> {
        self.place.configure(&self.configuration());
        self.place.start(self.environment(self.place.hushfs(&["mount"])))
    }
}

#[test]
fn each_caller_is_given_what_their_service_account_is_given_and_nothing_of_anothers() {
    let world = World::new();
    let _daemon = world.mount();
    let gcp = world.place.mnt().join("gcp");
    let value = Some("the value itself".to_owned());
    // What one has brought into memory is there for the next to find.
    for _ in 0..3 {
        assert_eq!(cat(2001, &[], &gcp.join("db/value")), value);
        assert_eq!(cat(2002, &[], &gcp.join("db/value")), None);
        assert_eq!(cat(2002, &[], &gcp.join("both/value")), value);
        let refused = run(2003, &[], &["cat"], &gcp.join("both/value"));
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("Key was rejected by service"), "{said}");
        assert_eq!(std::fs::read(gcp.join("db/value")).unwrap(), b"the value itself", "root: the scope's own");
        assert_eq!(ls(2002, &[], &gcp), ["both", "db"]);
    }
    let accesses = world.server.calls("AccessSecretVersion");
    // Beta's refused one is asked for unless a prediction had shown it without a bit by then.
    assert!((3..=4).contains(&accesses), "alpha's, beta's and the scope's own; none for who is nobody: {accesses}");
    assert!(world.proxy.connections() >= 3, "tokens come through the proxy");
}

#[test]
fn a_service_account_is_asked_itself_what_it_may_do() {
    let world = World::new();
    let _daemon = world.mount();
    let gcp = world.place.mnt().join("gcp");
    let listing = |uid| String::from_utf8(run(uid, &[], &["ls", "-ln"], &gcp).stdout).unwrap();
    let entries = |name: &str| {
        let path = gcp.join(name);
        let output = run(2001, &[], &["getfacl", "-cnp", "--absolute-names"], &path);
        String::from_utf8(output.stdout).unwrap()
    };
    eventually("the refused secret has no bits for its user", || {
        // Google says the same of what is refused and of what is not there, until it is listed.
        listing(2002);
        let shown = entries("db");
        (shown.contains("other::r-x") && shown.contains("user:2002:---")).then_some(())
    });
    assert!(!entries("both").contains("user:2002"), "{}", entries("both"));
    assert_eq!(world.server.calls("AccessSecretVersion"), 0, "nothing was read for it");

    let why = Command::new(HUSHFS).args(["why", "--uid", "2002"]).arg(gcp.join("db/value")).output().unwrap();
    let said = String::from_utf8_lossy(&why.stdout);
    assert_eq!(why.status.code(), Some(1), "{said}");
    assert!(said.contains("beta@my-project") && said.contains("secretmanager.versions.access"), "{said}");
    let checked = world.environment(world.place.hushfs(&["check", "--online"])).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(said.contains("service account beta@my-project") && !said.contains("the value itself"), "{said}");
}
