//! What `kubectl apply` leaves in an object's metadata: its values, in base64. hushfs asks for metadata to list, to look at
//! a name and to follow changes.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{LONG, PATIENCE, flush};
use crate::support::backend::KEEPS_WORN;
use crate::support::daemon::{Place, eventually};
use crate::support::kubernetes::{Cluster, NAMESPACE};
use crate::support::marked::Mark;
use crate::support::memory::scan_until;

/// The metadata of a Secret that was applied with this value.
fn applied(mark: &Mark) -> Value {
    let data = json!({ "PASSWORD": STANDARD.encode(&mark.value) });
    let written = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "data": data});
    json!({"name": "db", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": written.to_string()}})
}

#[test]
fn nothing_is_left_of_the_values_that_kubectl_has_applied_once_a_listing_or_a_change_has_brought_them() {
    let place = Place::new();
    let cluster = Cluster::start();
    let verbs = ["get", "list", "watch"];
    let rules = json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": verbs}]);
    cluster.allow("hushfs", "ServiceAccount/hushfs", rules);
    let token = cluster.file("token", &cluster.token_of("hushfs"));
    // The data is something else, so that nothing but the annotation has these.
    let marks = [Mark::new(), Mark::new()];
    let [first, second] = &marks;
    let secrets = format!("/api/v1/namespaces/{NAMESPACE}/secrets");
    let data = |text: &str| json!({ "PASSWORD": STANDARD.encode(text) });
    cluster.ok("POST", &secrets, &json!({"metadata": applied(first), "data": data("first")}));

    place.configure(&format!(
        "[scopes.k8s]\nprovider = \"kubernetes\"\nnamespace = {NAMESPACE:?}\nendpoint_url = {:?}\nca_file = {:?}\n\
         auth = {{ method = \"token\", token_file = {token:?} }}\nlist_ttl = \"1h\"\nnegative_ttl = \"1h\"\n{LONG}",
        cluster.url(),
        cluster.ca_file()
    ));
    let mut command = place.hushfs(&["mount"]);
    command.env(KEEPS_WORN, "1");
    let daemon = place.start(command);
    let scope = place.mnt().join("k8s");
    let password = scope.join("db/PASSWORD");
    assert_eq!(fs::read_dir(&scope).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(&password).unwrap(), "first");
    // It is followed from here on, or will be: this change is heard of by a listing or by a watch, the next by a watch.
    for text in ["second", "third"] {
        let body = json!({"metadata": applied(second), "data": data(text)});
        cluster.ok("PATCH", &format!("{secrets}/db"), &body);
        eventually("the change shows", || (fs::read_to_string(&password).unwrap() == text).then_some(()));
    }

    flush(&place);
    for mark in &marks {
        let left = scan_until(&daemon, mark, PATIENCE, |copies| copies.0.is_empty());
        assert!(left.0.is_empty(), "{:#?}", left.0);
    }
    // Nobody has stopped following.
    let body = json!({ "data": data("fourth") });
    assert_eq!(fs::read_to_string(&password).unwrap(), "third");
    cluster.ok("PATCH", &format!("{secrets}/db"), &body);
    eventually("the next change shows, too", || (fs::read_to_string(&password).unwrap() == "fourth").then_some(()));
    assert_eq!(daemon.stop().code(), Some(0));
}
