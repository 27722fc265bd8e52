//! Kubernetes' credentials, ConfigMaps, and what the watch tells, on a real API server.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::events::Watch;
use crate::support::daemon::{Place, errno_of_reading, eventually};
use crate::support::kubernetes::{Cluster, NAMESPACE};
use crate::support::session::Session;
use crate::support::walk::{Walk, cat, is_refused, is_well, ls};

const OLD: &str = "the value itself";
const NEW: &str = "another value";
const ACCOUNT: &str = "system:serviceaccount:apps:hushfs";

struct Kube {
    place: Place,
    cluster: Cluster,
}

impl Kube {
    /// With the Secret `prod-db`, which the service account `hushfs` may read and follow, and the user carol.
    fn new() -> Self {
        let cluster = Cluster::start();
        cluster.put("prod-db", &[("PASSWORD", OLD.as_bytes())]);
        let rules = json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]}]);
        cluster.allow("hushfs", "ServiceAccount/hushfs", rules.clone());
        cluster.allow("carol", "User/carol", rules);
        Self { place: Place::new(), cluster }
    }

    fn walk(&self) {
        let walk = Walk { place: &self.place, scope: "k8s", secret: "db", key: "PASSWORD", old: OLD, new: NEW };
        walk.through(|| self.put(NEW));
    }

    fn put(&self, value: &str) {
        self.cluster.put("prod-db", &[("PASSWORD", value.as_bytes())]);
    }

    fn is_logged_in(&self, session: &Session<'_>, configuration: &str, whoami: &str) {
        is_well(&session.check(configuration), whoami, "db");
        let daemon = session.mount(configuration);
        self.walk();
        assert!(daemon.stop().success());
        self.put(OLD);
    }

    /// What is in the token's file counts at the next call, for better or worse.
    fn follows_its_token(&self, mut write: impl FnMut(&str)) {
        assert_eq!(cat(&self.file()), OLD);
        write("of-nobody");
        self.place.refused_refresh(&self.file());
        is_refused(&self.file(), libc::EKEYREJECTED, "");
        write(&self.cluster.token_of("hushfs"));
        eventually("it is read with the new one", || std::fs::read(self.file()).ok());
        assert_eq!(cat(&self.file()), OLD);
    }

    fn file(&self) -> PathBuf {
        self.place.mnt().join("k8s/db/PASSWORD")
    }
}

fn scope(more: &str) -> String {
    format!("[scopes.k8s]\nprovider = \"kubernetes\"\nprefix = \"prod-\"\nnegative_ttl = \"100ms\"\n{more}\n")
}

/// What kubelet makes of a volume: a folder for each state, and a link that is turned to the newest.
struct Projected<'a> {
    volume: &'a Path,
    made: usize,
}

impl Projected<'_> {
    fn write(&mut self, files: &[(&str, &[u8])]) {
        self.made += 1;
        let state = format!("..state_{}", self.made);
        std::fs::create_dir(self.volume.join(&state)).unwrap();
        for (name, bytes) in files {
            std::fs::write(self.volume.join(&state).join(name), bytes).unwrap();
        }
        symlink(&state, self.volume.join("..data_tmp")).unwrap();
        std::fs::rename(self.volume.join("..data_tmp"), self.volume.join("..data")).unwrap();
        for (name, _) in files {
            if self.volume.join(name).symlink_metadata().is_err() {
                symlink(format!("..data/{name}"), self.volume.join(name)).unwrap();
            }
        }
    }
}

#[test]
fn a_kubeconfig_is_used_with_the_context_that_is_named() {
    let kube = Kube::new();
    let config = kube.cluster.kubeconfig("config", &format!("    token: {}", kube.cluster.token_of("hushfs")));
    let configuration = |context: &str| {
        scope(&format!("auth = {{ method = \"kubeconfig\", kubeconfig = {config:?}, context = {context:?} }}"))
    };
    let session = Session::new(&kube.place);
    kube.is_logged_in(&session, &configuration("here"), ACCOUNT);
    let daemon = session.mount(&configuration("elsewhere"));
    is_refused(&kube.file(), libc::EKEYREJECTED, "no user `nobody`");
    assert!(daemon.stop().success());
    // As kubectl finds it, with its current context.
    let session = Session::new(&kube.place).with("KUBECONFIG", &config);
    kube.is_logged_in(&session, &scope(""), ACCOUNT);
}

#[test]
fn a_kubeconfigs_client_certificate_is_its_users() {
    let kube = Kube::new();
    let user = "    client-certificate: client.pem\n    client-key: client.key";
    let config = kube.cluster.kubeconfig("config", user);
    let configuration = scope(&format!("auth = {{ method = \"kubeconfig\", kubeconfig = {config:?} }}"));
    kube.is_logged_in(&Session::new(&kube.place), &configuration, &kube.cluster.url());
}

#[test]
fn a_projected_token_that_kubelet_renews_is_used_at_once() {
    let kube = Kube::new();
    let volume = kube.place.path().join("volume");
    std::fs::create_dir(&volume).unwrap();
    let mut projected = Projected { volume: &volume, made: 0 };
    projected.write(&[("token", kube.cluster.token_of("hushfs").as_bytes())]);
    let configuration = scope(&format!(
        "namespace = {NAMESPACE:?}\nendpoint_url = {:?}\nca_file = {:?}\n\
         auth = {{ method = \"token\", token_file = {:?} }}",
        kube.cluster.url(),
        kube.cluster.ca_file(),
        volume.join("token")
    ));
    let session = Session::new(&kube.place);
    kube.is_logged_in(&session, &configuration, ACCOUNT);

    let _daemon = session.mount(&configuration);
    kube.follows_its_token(|token| projected.write(&[("token", token.as_bytes())]));
}

#[test]
fn configmaps_are_shown_where_they_are_asked_for_and_secrets_are_not() {
    let kube = Kube::new();
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}]);
    kube.cluster.allow("maps", "ServiceAccount/hushfs", rules);
    let maps = format!("/api/v1/namespaces/{NAMESPACE}/configmaps");
    let body = |value: &str| json!({"metadata": {"name": "prod-app"}, "data": {"LEVEL": value}, "binaryData": {"blob": STANDARD.encode([0, 255])}});
    kube.cluster.ok("POST", &maps, &body(OLD));
    let config = kube.cluster.kubeconfig("config", &format!("    token: {}", kube.cluster.token_of("hushfs")));
    let login = format!("auth = {{ method = \"kubeconfig\", kubeconfig = {config:?} }}");
    let configuration = scope(&format!("kind = \"configmaps\"\n{login}"));
    let session = Session::new(&kube.place);
    is_well(&session.check(&configuration), ACCOUNT, "app");
    let _daemon = session.mount(&(configuration + &scope(&login).replace("scopes.k8s", "scopes.secrets")));
    let (maps_folder, secrets) = (kube.place.mnt().join("k8s"), kube.place.mnt().join("secrets"));
    assert_eq!((ls(&maps_folder), ls(&secrets)), (vec!["app".to_owned()], vec!["db".to_owned()]));
    assert_eq!(std::fs::read(maps_folder.join("app/blob")).unwrap(), [0, 255]);
    assert_eq!(errno_of_reading(&maps_folder.join("db/PASSWORD")), Some(libc::ENOENT));
    assert_eq!(errno_of_reading(&secrets.join("app/LEVEL")), Some(libc::ENOENT));
    let file = maps_folder.join("app/LEVEL");
    assert_eq!(cat(&file), OLD);
    kube.cluster.ok("PATCH", &format!("{maps}/prod-app"), &body(NEW));
    eventually("the change shows", || (cat(&file) == NEW).then_some(()));
}

#[test]
fn who_watches_a_file_is_told_of_a_change_although_nobody_reads_or_asks_for_it() {
    let kube = Kube::new();
    let config = kube.cluster.kubeconfig("config", &format!("    token: {}", kube.cluster.token_of("hushfs")));
    let configuration = scope(&format!(
        "ttl = \"1h\"\nlist_ttl = \"1h\"\nauth = {{ method = \"kubeconfig\", kubeconfig = {config:?} }}"
    ));
    let _daemon = Session::new(&kube.place).mount(&configuration);
    // A connection that follows begins with the first use of the scope.
    assert_eq!(cat(&kube.file()), OLD);
    // It begins with a listing, upon which all that is in memory is fetched again: that must be over.
    let folder = kube.place.mnt().join("k8s");
    assert_eq!(ls(&folder), ["db"]);
    kube.cluster.put("prod-other", &[("PASSWORD", OLD.as_bytes())]);
    eventually("it is followed", || ls(&folder).contains(&"other".to_owned()).then_some(()));
    assert_eq!(cat(&kube.file()), OLD);
    let watch = Watch::of(&[&kube.file()]);
    let fetched = kube.place.calls("k8s", "fetch");
    kube.put(NEW);
    watch.wait_for(&[""]);
    assert_eq!(cat(&kube.file()), NEW);
    let calls = kube.place.calls("k8s", "fetch") - fetched;
    assert_eq!(calls, 1, "one for the change, none for its reader");
}

/// Shows another folder in place of /run, in a mount namespace of the test's own.
mod as_root {
    use super::*;
    use crate::support::users::{bind, private_mounts};

    #[test]
    fn in_a_pod_its_service_account_is_used_and_its_token_may_be_renewed() {
        let kube = Kube::new();
        private_mounts(&kube.place, 0);
        let run = kube.place.path().join("run-of-the-pod");
        let volume = run.join("secrets/kubernetes.io/serviceaccount");
        std::fs::create_dir_all(&volume).unwrap();
        bind(&run, Path::new("/run"));
        let volume = Path::new("/var/run/secrets/kubernetes.io/serviceaccount");
        let authority = std::fs::read(kube.cluster.ca_file()).unwrap();
        let mut projected = Projected { volume, made: 0 };
        let mut renew = |token: &str| {
            projected.write(&[
                ("token", token.as_bytes()),
                ("ca.crt", &authority),
                ("namespace", NAMESPACE.as_bytes()),
            ]);
        };
        renew(&kube.cluster.token_of("hushfs"));
        let address = kube.cluster.address();
        let session = Session::new(&kube.place)
            .with("KUBERNETES_SERVICE_HOST", address.ip().to_string())
            .with("KUBERNETES_SERVICE_PORT", address.port().to_string());
        kube.is_logged_in(&session, &scope("auth = { method = \"in-cluster\" }"), ACCOUNT);
        kube.is_logged_in(&session, &scope(""), ACCOUNT);

        let _daemon = session.mount(&scope(""));
        kube.follows_its_token(renew);
    }
}
