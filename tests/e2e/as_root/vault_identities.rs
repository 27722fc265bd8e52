//! Callers for whom Vault is asked with tokens of different roles, on OpenBao.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::grants::{cat, grant, run};
use crate::support::daemon::{Daemon, HUSHFS, Place, eventually};
use crate::support::openbao::{OpenBao, ROOT};
use crate::support::users::private_mounts;

/// Users, and the roles that they have: there is none of the last name.
const USERS: [(u32, &str); 3] = [(2001, "alpha"), (2002, "beta"), (2003, "gamma")];

struct World {
    place: Place,
    server: OpenBao,
}

impl World {
    /// The scope's own token may read everything, `alpha` the secrets `db` and `both`, `beta` only `both`.
    fn new() -> Self {
        let place = Place::new();
        private_mounts(&place, 0);
        std::fs::set_permissions(place.mnt(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let server = OpenBao::start();
        for name in ["db", "both"] {
            server.put(name, "the value itself");
        }
        let list = "path \"secret/metadata/*\" { capabilities = [\"list\", \"read\"] }\n";
        let read = |name: &str| format!("path \"secret/data/{name}\" {{ capabilities = [\"read\"] }}\n");
        let create = "path \"auth/token/create/*\" { capabilities = [\"update\"] }\n";
        server.policy("own", &[list, &read("*"), create].concat());
        server.policy("alpha", &[list, &read("db"), &read("both")].concat());
        server.policy("beta", &[list, &read("both")].concat());
        for name in ["alpha", "beta"] {
            server.root("POST", &format!("auth/token/roles/{name}"), &json!({"allowed_policies": [name, "default"]}));
        }
        Self { place, server }
    }

    fn configuration(&self) -> String {
        let token = self.server.token(&["own", "alpha", "beta"], json!({}));
        let identity = |(uid, role): (u32, &str)| {
            format!("[[identity]]\nprincipals = [\"uid:{uid}\"]\nscopes = [\"vault\"]\nvault.role = {role:?}\n")
        };
        format!(
            "allow_other = true\n{}{}[scopes.vault]\nprovider = \"vault\"\naddress = {:?}\n\
             auth = {{ method = \"token\", token_file = {:?} }}\n",
            grant("allow", "everyone", "read", "vault/**"),
            USERS.map(identity).concat(),
            self.server.url(),
            self.server.file("token", &token),
        )
    }

    fn mount(&self) -> Daemon<'_> {
        self.place.mount(&self.configuration())
    }

    fn tokens(&self) -> usize {
        let (_, answer) = self.server.ask("LIST", "auth/token/accessors", ROOT, None).expect("OpenBao answers");
        answer["data"]["keys"].as_array().map_or(0, Vec::len)
    }
}

#[test]
fn each_caller_is_given_what_their_role_is_given_and_nothing_of_anothers() {
    let world = World::new();
    let daemon = world.mount();
    let before = world.tokens();
    let vault = world.place.mnt().join("vault");
    let value = Some("the value itself".to_owned());
    // What one has brought into memory is there for the next to find.
    for _ in 0..3 {
        assert_eq!(cat(2001, &[], &vault.join("db/value")), value);
        let refused = run(2002, &[], &["cat"], &vault.join("db/value"));
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("Permission denied") && refused.stdout.is_empty(), "{said}");
        assert_eq!(cat(2002, &[], &vault.join("both/value")), value);
        let nobody = run(2003, &[], &["cat"], &vault.join("both/value"));
        let said = String::from_utf8_lossy(&nobody.stderr).into_owned();
        assert!(said.contains("Key was rejected by service") && nobody.stdout.is_empty(), "{said}");
        assert_eq!(std::fs::read(vault.join("db/value")).unwrap(), b"the value itself", "root: the scope's own");
    }
    assert_eq!(world.tokens(), before + 2, "a token for each role that there is");
    assert!(daemon.stop().success());
    let is_revoked = |before: usize| {
        (0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            world.tokens() == before
        })
    };
    let again = || {
        let daemon = world.mount();
        let before = world.tokens();
        for uid in [2001, 2002] {
            assert_eq!(cat(uid, &[], &vault.join("both/value")), value);
        }
        assert!(daemon.stop().success());
        is_revoked(before)
    };
    // A daemon that ends gives a server two seconds, and says so where they were not enough.
    let was_slow = || world.place.log().contains("what providers have lent took too long");
    assert!(
        is_revoked(before) || (was_slow() && (again() || again())),
        "our tokens are revoked, and the user's is not"
    );
}

#[test]
fn a_role_is_asked_itself_what_it_may_do() {
    let world = World::new();
    let _daemon = world.mount();
    let vault = world.place.mnt().join("vault");
    let entries = |name: &str| {
        let output = run(2001, &[], &["getfacl", "-cnp", "--absolute-names"], &vault.join(name));
        String::from_utf8(output.stdout).unwrap()
    };
    eventually("the refused secret has no bits for its user", || {
        run(2002, &[], &["ls", "-ln"], &vault);
        entries("db").contains("user:2002:---").then_some(())
    });
    assert!(!entries("both").contains("user:2002"), "{}", entries("both"));
    let why = Command::new(HUSHFS).args(["why", "--uid", "2002"]).arg(vault.join("db/value")).output().unwrap();
    let said = String::from_utf8_lossy(&why.stdout);
    assert_eq!(why.status.code(), Some(1), "{said}");
    assert!(said.contains("beta") && said.contains("sys/capabilities-self of secret/data/db: deny"), "{said}");
    let checked = world.place.run(&["check", "--online", "--json"]);
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(said.contains("default") && !said.contains("the value itself"), "{said}");
    let found: Value = serde_json::from_str(&said).unwrap();
    let of = |role: &str| {
        let all = found["online"].as_array().unwrap();
        all.iter().find(|it| it["identity"] == role).unwrap_or_else(|| panic!("{found:#}")).clone()
    };
    assert_eq!(of("beta")["refused"][0]["secret"], "db", "{found:#}");
    assert!(of("gamma")["whoami"]["failed"]["why"].as_str().unwrap().contains("gamma"), "{found:#}");
}
