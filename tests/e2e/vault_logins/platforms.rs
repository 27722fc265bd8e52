//! What a platform says that we are: a JWT, a pod's token, an identity of AWS.

use super::{is_refused, is_taken_again, prepared, scope, works};
use crate::support::bao_auth::{self, Issuer};
use crate::support::daemon::Place;
use crate::support::kubernetes::{Cluster, NAMESPACE};
use crate::support::openbao::OpenBao;
use crate::support::vault_walk::Walk;

#[test]
fn a_jwt_logs_in_until_it_ends_and_the_next_one_in_its_file_does_again() {
    let (place, server) = (Place::new(), prepared(OpenBao::start()));
    let issuer = Issuer::start(&server);
    let file = issuer.issue(&server, 600);
    let auth = format!("auth = {{ method = \"jwt\", role = \"hushfs\", token_file = {file:?} }}");
    let scope = scope(&server.url(), &auth);
    works(&place, &server, "jwt-worker (policies: default, reader)", &scope);
    issuer.issue(&server, -300);
    let walk = Walk::new(&place, &scope);
    let _daemon = walk.mount();
    is_refused(&walk, "JWT login at `jwt` as the role `hushfs`");
    issuer.issue(&server, 600);
    is_taken_again(&walk);
}

#[test]
fn a_pods_token_logs_in_where_kubernetes_vouches_for_it() {
    let (place, server, cluster) = (Place::new(), prepared(OpenBao::start()), Cluster::start());
    bao_auth::kubernetes(&server, &cluster, &["worker"]);
    let file = server.file("pod-token", &cluster.token_of("worker"));
    let auth = format!("auth = {{ method = \"kubernetes\", role = \"hushfs\", token_file = {file:?} }}");
    let scope = scope(&server.url(), &auth);
    works(&place, &server, &format!("kubernetes-{NAMESPACE}-worker"), &scope);
    // Of a service account that the role is not for.
    let other = cluster.token_of("other");
    server.file("pod-token", &other);
    let walk = Walk::new(&place, &scope);
    let _daemon = walk.mount();
    is_refused(&walk, "Kubernetes login at `kubernetes` as the role `hushfs`");
    assert!(!place.log().contains(&other), "the token is in the log");
    server.file("pod-token", &cluster.token_of("worker"));
    is_taken_again(&walk);
}

#[cfg(feature = "aws")]
#[test]
fn who_aws_says_that_we_are_logs_in() {
    use std::sync::Arc;

    use super::put;
    use crate::support::ministack::MiniStack;
    use crate::support::vault_aws::{AwsAuth, Config};
    use crate::support::vault_walk::NEW;

    const SERVER_ID: &str = "vault.example";
    let (place, server, aws) = (Place::new(), Arc::new(prepared(OpenBao::start())), MiniStack::start());
    let policy =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:ListAllMyBuckets","Resource":"*"}]}"#;
    let (id, secret) = aws.user("hushfs", policy);
    let bound = "arn:aws:iam::000000000000:user/hushfs";
    let vault = AwsAuth::start(Config {
        bao: Arc::clone(&server),
        sts: aws.address(),
        server_id: SERVER_ID,
        roles: [("hushfs", (bound, "reader"))].into(),
    });
    let scope = scope(
        &vault.url(),
        &format!(
            "auth = {{ method = \"aws\", role = \"hushfs\", region = \"eu-central-1\", header_value = {SERVER_ID:?} }}"
        ),
    );
    let with = |secret: &str| {
        let walk = Walk::new(&place, &scope).with("HOME", place.path().display().to_string());
        let walk = walk.with("AWS_CONFIG_FILE", "/dev/null").with("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
        let walk = walk.with("AWS_EC2_METADATA_DISABLED", "true").with("AWS_SESSION_TOKEN", "");
        walk.with("AWS_ACCESS_KEY_ID", &id).with("AWS_SECRET_ACCESS_KEY", secret)
    };
    let walk = with(&secret);
    let daemon = walk.is_taken_for("token-aws-hushfs (policies: default, reader)").mount();
    walk.looks_around("vault");
    walk.sees_the_rotation(true, || put(&server, NEW));
    assert_eq!(vault.host(), "sts.eu-central-1.amazonaws.com");
    assert!(daemon.stop().success());

    let walk = with("not the secret of that key");
    let _daemon = walk.mount();
    is_refused(&walk, "AWS login at `aws` as the role `hushfs`");
}
