//! Scopes of the provider `kubernetes`.

use crate::support::{Fixture, goldens};

fn k8s(lines: &str) -> String {
    format!("[scopes.k8s]\nprovider = \"kubernetes\"\n{lines}\n")
}

fn auth(settings: &str) -> String {
    k8s(&format!("endpoint_url = \"https://k8s.example:6443\"\nauth = {{ {settings} }}"))
}

goldens! {
    a_namespace_that_is_none: k8s("namespace = \"Dagster/prd\"");
    a_kind_that_is_none: k8s("kind = \"pods\"");
    labels_that_are_none: k8s("labels = \"app='db'\"");
    a_prefix_that_starts_no_object: k8s("prefix = \"Prod_\"");
    a_clusters_address_without_a_scheme: k8s("endpoint_url = \"k8s.example:6443\"");
    a_clusters_token_in_the_file: k8s("token = \"eyJhbGciOi-hunter2\"");
    a_clusters_auth_without_a_method: auth("token_file = \"/etc/hushfs/k8s-token\"");
    a_clusters_auth_of_an_unknown_method: auth("method = \"kubeconf\"");
    a_clusters_auth_without_its_file: auth("method = \"token\"");
    a_clusters_auth_with_another_methods_setting: auth("method = \"in-cluster\", context = \"prod\"");
    a_clusters_token_without_an_address: k8s("auth = { method = \"token\", token_file = \"/etc/hushfs/k8s-token\" }");
    a_clusters_setting_outside_of_auth: k8s("context = \"prod\"");
    a_service_account_that_is_none: format!(
        "{}\n[[identity]]\nprincipals = [\"user:root\"]\nscopes = [\"k8s\"]\nkubernetes.service_account = \"A b\"\n", k8s("")
    );
}

#[test]
fn a_kubeconfig_that_everybody_may_read_is_refused_and_one_that_is_to_come_is_not() {
    let fixture = Fixture::new();
    fixture.write("hushfs.toml", auth("method = \"kubeconfig\", kubeconfig = \"[dir]/config\""));
    let says = fixture.check();
    assert!(says.starts_with("exit status 0\n") && says.contains("does not exist yet"), "{says}");
    fixture.write("config", "hunter2").mode("config", 0o644);
    let says = fixture.check();
    assert!(!says.starts_with("exit status 0\n") && says.contains("chmod 600"), "{says}");
    assert!(!says.contains("hunter2"), "{says}");
    fixture.mode("config", 0o600);
    assert!(fixture.check().starts_with("exit status 0\n"), "{}", fixture.check());
}
