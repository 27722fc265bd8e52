//! Callers for whom Kubernetes is asked as different service accounts, which the scope's own identity impersonates.

use std::process::Command;

use serde_json::json;

use super::grants::{cat, grant, run};
use crate::support::daemon::{HUSHFS, Place, eventually};
use crate::support::kubernetes::{Cluster, NAMESPACE};
use crate::support::users::private_mounts;

/// Users, and the service accounts that they have: the scope's own may not impersonate the last one.
const USERS: [(u32, &str); 3] = [(2001, "alpha"), (2002, "apps/beta"), (2003, "gamma")];

struct World {
    place: Place,
    cluster: Cluster,
}

impl World {
    /// `alpha` may read `db` and `both`, `beta` may read `both`.
    fn new() -> Self {
        let place = Place::new();
        private_mounts(&place, 0);
        std::fs::set_permissions(place.mnt(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let cluster = Cluster::start();
        for name in ["db", "both"] {
            cluster.put(name, &[("value", b"the value itself")]);
        }
        let all = |verbs: &[&str]| json!({"apiGroups": [""], "resources": ["secrets"], "verbs": verbs});
        let named = |names: &[&str]| json!([all(&["list"]), {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": names}]);
        let become_one = json!({"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["impersonate"],
            "resourceNames": ["alpha", "beta"]});
        cluster.allow("hushfs", "ServiceAccount/hushfs", json!([all(&["get", "list", "watch"]), become_one]));
        cluster.allow("alpha", "ServiceAccount/alpha", named(&["db", "both"]));
        cluster.allow("beta", "ServiceAccount/beta", named(&["both"]));
        cluster.allow("gamma", "ServiceAccount/gamma", named(&["db", "both"]));
        Self { place, cluster }
    }

    fn configuration(&self) -> String {
        let token = self.cluster.file("token", &self.cluster.token_of("hushfs"));
        let identity = |(uid, account): (u32, &str)| {
            format!(
                "[[identity]]\nprincipals = [\"uid:{uid}\"]\nscopes = [\"k8s\"]\nkubernetes.service_account = {account:?}\n"
            )
        };
        format!(
            "allow_other = true\n{}{}[scopes.k8s]\nprovider = \"kubernetes\"\nnamespace = {NAMESPACE:?}\nttl = \"1h\"\n\
             list_ttl = \"1h\"\nendpoint_url = {:?}\nca_file = {:?}\nauth = {{ method = \"token\", token_file = {token:?} }}\n",
            grant("allow", "everyone", "read", "k8s/**"),
            USERS.map(identity).concat(),
            self.cluster.url(),
            self.cluster.ca_file(),
        )
    }
}

#[test]
fn each_caller_is_given_what_their_service_account_is_given_and_nothing_of_anothers() {
    let world = World::new();
    let _daemon = world.place.mount(&world.configuration());
    let k8s = world.place.mnt().join("k8s");
    let value = Some("the value itself".to_owned());
    // What one has brought into memory is there for the next to find.
    for _ in 0..3 {
        assert_eq!(cat(2001, &[], &k8s.join("db/value")), value);
        assert_eq!(cat(2002, &[], &k8s.join("both/value")), value);
        for (uid, path) in [(2002, "db/value"), (2003, "db/value"), (2003, "both/value")] {
            let refused = run(uid, &[], &["cat"], &k8s.join(path));
            let said = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert!(said.contains("Permission denied"), "{uid} {path}: {said}");
        }
        assert_eq!(std::fs::read(k8s.join("db/value")).unwrap(), b"the value itself", "root: the scope's own");
    }

    // What the scope's own identity learns of counts for all.
    world.cluster.put("db", &[("value", b"another")]);
    let another = Some("another".to_owned());
    eventually("the caller of an identity sees the new value", || {
        (cat(2001, &[], &k8s.join("db/value")) == another).then_some(())
    });
    assert_eq!(cat(2002, &[], &k8s.join("db/value")), None);

    let why = Command::new(HUSHFS).args(["why", "--uid", "2002"]).arg(k8s.join("db/value")).output().unwrap();
    let said = String::from_utf8_lossy(&why.stdout);
    assert_eq!(why.status.code(), Some(1), "{said}");
    assert!(said.contains("apps/beta") && said.contains("no rule allows"), "{said}");
}
