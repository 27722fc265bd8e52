//! Scopes of the provider `azure-key-vault`.

use crate::support::{Fixture, goldens};

fn azure(lines: &str) -> String {
    format!("[scopes.azure]\nprovider = \"azure-key-vault\"\n{lines}\n")
}

const VAULT: &str = "vault_url = \"https://my-vault.vault.azure.net\"\n";

fn auth(settings: &str) -> String {
    azure(&format!("{VAULT}auth = {{ {settings} }}"))
}

goldens! {
    a_key_vault_without_an_address: azure("prefix = \"prod-\"");
    a_key_vault_that_is_not_encrypted: azure("vault_url = \"http://127.0.0.1:8080\"");
    a_key_vault_with_a_path: azure("vault_url = \"https://my-vault.vault.azure.net/secrets\"");
    a_key_vaults_prefix_that_starts_no_name: azure(&format!("{VAULT}prefix = \"prod/\""));
    a_key_vaults_auth_without_a_method: auth("tenant_id = \"t\"");
    a_key_vaults_auth_of_an_unknown_method: auth("method = \"client-certificate\"");
    a_key_vaults_auth_without_its_settings: auth("method = \"client-secret\", tenant_id = \"t\"");
    a_key_vaults_auth_with_another_methods_setting: auth("method = \"cli\", client_id = \"c\"");
    a_key_vaults_tenant_that_leads_elsewhere: auth("method = \"cli\", tenant_id = \"../x; id\"");
    a_key_vaults_authority_that_is_not_encrypted: auth(
        "method = \"workload-identity\", authority_host = \"http://login.example\""
    );
    a_key_vaults_setting_outside_of_auth: azure(&format!("{VAULT}tenant_id = \"t\""));
    a_key_vaults_secret_in_the_file: azure(&format!("{VAULT}client_secret = \"hunter2\""));
}

#[test]
fn a_client_secret_that_everybody_may_read_is_refused_and_one_that_is_to_come_is_not() {
    let fixture = Fixture::new();
    let settings = "method = \"client-secret\", tenant_id = \"t\", client_id = \"c\", client_secret_file = \"[dir]/s\"";
    fixture.write("hushfs.toml", auth(settings));
    let says = fixture.check();
    assert!(says.starts_with("exit status 0\n") && says.contains("does not exist yet"), "{says}");
    fixture.write("s", "hunter2").mode("s", 0o644);
    let says = fixture.check();
    assert!(!says.starts_with("exit status 0\n") && says.contains("chmod 600"), "{says}");
    assert!(!says.contains("hunter2"), "{says}");
    fixture.mode("s", 0o600);
    assert!(fixture.check().starts_with("exit status 0\n"), "{}", fixture.check());
}
