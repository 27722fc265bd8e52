//! OpenBao's auth methods, set up as an operator does. What they let in has the policy `reader`.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::openbao::OpenBao;

/// Reads all of `secret`, a mount of version 2 of the key-value engine.
pub const READ_ALL: &str = r#"path "secret/data/*" { capabilities = ["read"] }
path "secret/metadata/*" { capabilities = ["list", "read"] }
path "secret/subkeys/*" { capabilities = ["read"] }"#;

/// AppRole with the role `hushfs`, whose tokens have `settings`; the files of its role id and of a secret id.
pub fn approle(server: &OpenBao, settings: Value) -> (PathBuf, PathBuf) {
    approle_in(server, "", settings)
}

/// As [`approle`], in a namespace: `NAMESPACE:`, or nothing for that of root.
pub fn approle_in(server: &OpenBao, namespace: &str, settings: Value) -> (PathBuf, PathBuf) {
    let at = |path: &str| format!("{namespace}{path}");
    server.root("POST", &at("sys/auth/approle"), &json!({"type": "approle"}));
    let mut role = json!({"token_policies": ["reader"]});
    if let (Some(role), Value::Object(settings)) = (role.as_object_mut(), settings) {
        role.extend(settings);
    }
    server.root("POST", &at("auth/approle/role/hushfs"), &role);
    let role_id = server.root("GET", &at("auth/approle/role/hushfs/role-id"), &Value::Null);
    let role_id_file = server.file("role-id", role_id["data"]["role_id"].as_str().expect("an id"));
    (role_id_file, secret_id_in(server, namespace))
}

/// Another secret id, in the same file.
pub fn new_secret_id(server: &OpenBao) {
    secret_id_in(server, "");
}

fn secret_id_in(server: &OpenBao, namespace: &str) -> PathBuf {
    let secret_id = server.root("POST", &format!("{namespace}auth/approle/role/hushfs/secret-id"), &json!({}));
    server.file("secret-id", &format!("{}\n", secret_id["data"]["secret_id"].as_str().expect("an id")))
}

/// Another secret id, wrapped: its wrapping token is in the same file, and the answer.
pub fn new_wrapped_secret_id(server: &OpenBao) -> String {
    // What `bao write -wrap-ttl=5m -f …` sends.
    let (status, answer) = server.ask_wrapped("auth/approle/role/hushfs/secret-id", "300").expect("OpenBao answers");
    assert_eq!(status, 200, "{answer}");
    let token = answer["wrap_info"]["token"].as_str().expect("a token").to_owned();
    server.file("secret-id", &token);
    token
}

/// Every token that AppRole has given.
pub fn revoke_all(server: &OpenBao) {
    server.root("POST", "sys/leases/revoke-prefix/auth/approle", &json!({}));
}

/// Who signs JWTs that OpenBao's method `jwt` takes, with its role `hushfs`.
pub struct Issuer {
    key: PathBuf,
}

impl Issuer {
    pub fn start(server: &OpenBao) -> Self {
        let key = server.folder().join("jwt.key");
        let path = key.to_str().expect("text");
        openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", path]);
        let public = String::from_utf8(openssl(&["pkey", "-in", path, "-pubout"])).expect("PEM");
        server.root("POST", "sys/auth/jwt", &json!({"type": "jwt"}));
        server.root("POST", "auth/jwt/config", &json!({"jwt_validation_pubkeys": [public]}));
        let role = json!({
            "role_type": "jwt", "user_claim": "sub", "bound_audiences": ["hushfs"], "token_policies": ["reader"],
            "clock_skew_leeway": -1, "expiration_leeway": -1
        });
        server.root("POST", "auth/jwt/role/hushfs", &role);
        Self { key }
    }

    /// A file with a token of the subject `worker` that ends so many seconds from now.
    pub fn issue(&self, server: &OpenBao, seconds: i64) -> PathBuf {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
        let now = i64::try_from(now).expect("before the end of time");
        let claims = json!({"sub": "worker", "aud": "hushfs", "iat": now - 600, "exp": now + seconds});
        server.file("jwt", &self.sign(server.folder(), &claims))
    }

    fn sign(&self, folder: &Path, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&json!({"alg": "RS256", "typ": "JWT"})), part(claims));
        let file = folder.join("to-sign");
        std::fs::write(&file, &text).expect("a file");
        let [key, file] = [&self.key, &file].map(|path| path.to_str().expect("text"));
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(openssl(&["dgst", "-sha256", "-sign", key, file])))
    }
}

/// The method `kubernetes` with the role `hushfs`, for these service accounts of the cluster's namespace.
#[cfg(any(feature = "kubernetes", feature = "vault"))]
pub fn kubernetes(server: &OpenBao, cluster: &super::kubernetes::Cluster, accounts: &[&str]) {
    use super::kubernetes::NAMESPACE;
    // Who asks Kubernetes whose a token is.
    let reviewer = cluster.token_of("vault");
    let of = json!({"kind": "ClusterRole", "name": "system:auth-delegator", "apiGroup": "rbac.authorization.k8s.io"});
    let who = json!([{"kind": "ServiceAccount", "name": "vault", "namespace": NAMESPACE}]);
    let binding = json!({"metadata": {"name": "vault"}, "roleRef": of, "subjects": who});
    cluster.ok("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &binding);
    let reviews = json!([{"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]}]);
    cluster.holds(&format!("system:serviceaccount:{NAMESPACE}:vault"), "", &reviews);
    server.root("POST", "sys/auth/kubernetes", &json!({"type": "kubernetes"}));
    let config = json!({
        "kubernetes_host": cluster.url(), "disable_local_ca_jwt": true, "token_reviewer_jwt": reviewer,
        "kubernetes_ca_cert": std::fs::read_to_string(cluster.ca_file()).expect("PEM")
    });
    server.root("POST", "auth/kubernetes/config", &config);
    let role = json!({
        "bound_service_account_names": accounts, "bound_service_account_namespaces": [NAMESPACE],
        "token_policies": ["reader"]
    });
    server.root("POST", "auth/kubernetes/role/hushfs", &role);
}

/// The method `cert` with the role `hushfs`, for whatever the authority of [`OpenBao::certificates`] has signed.
pub fn certificates(server: &OpenBao) {
    let pem = std::fs::read_to_string(server.certificates().0).expect("PEM");
    server.root("POST", "sys/auth/cert", &json!({"type": "cert"}));
    server.root("POST", "auth/cert/certs/hushfs", &json!({"certificate": pem, "token_policies": ["reader"]}));
}

fn openssl(arguments: &[&str]) -> Vec<u8> {
    super::missing::program("openssl", "openssl");
    let output = Command::new("openssl").args(arguments).output().expect("openssl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
