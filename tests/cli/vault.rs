//! Scopes of the provider `vault`.

use crate::support::goldens;

fn vault(lines: &str) -> String {
    format!("[scopes.v]\nprovider = \"vault\"\naddress = \"https://vault.example:8200\"\n{lines}\n")
}

fn at(address: &str) -> String {
    format!("[scopes.v]\nprovider = \"vault\"\naddress = \"{address}\"\n")
}

fn identity(scope: &str, lines: &str) -> String {
    format!("{}[[identity]]\nprincipals = [\"uid:1\"]\nscopes = [\"v\"]\n{lines}\n", vault(scope))
}

goldens! {
    a_vault_scope_with_nothing_but_an_address: vault("");
    a_vault_scope_without_an_address: "[scopes.v]\nprovider = \"vault\"\nkv = 1\n";
    a_vault_address_with_a_path: at("https://proxy.example/vault");
    a_vault_address_that_is_not_encrypted: at("http://vault.example:8200");
    a_vault_address_with_a_credential: at("https://me:hunter2@vault.example");
    a_kv_version_that_there_is_not: vault("kv = 3");
    a_kv_version_in_quotes: vault("kv = \"2\"");
    a_vault_engine_that_leases: vault("kv = \"database\"");
    a_vault_engine_that_there_is_not: vault("kv = \"databse\"");
    a_vault_prefix_of_roles: vault("kv = \"database\"\nprefix = \"team/\"");
    a_vault_mount_that_leaves_its_place: vault("mount = \"secret/../sys\"");
    a_vault_prefix_with_an_empty_part: vault("prefix = \"a//b\"");
    a_vault_auth_without_a_method: vault("auth = { role = \"a\" }");
    a_vault_auth_with_an_unknown_method: vault("auth = { method = \"aprole\" }");
    a_vault_approle_without_its_files: vault("auth = { method = \"approle\" }");
    a_vault_approle_with_what_has_no_effect:
        vault("auth = { method = \"approle\", role_id_file = \"/r\", secret_id_file = \"/s\", role = \"a\", key_file = \"/k\" }");
    a_vault_jwt_without_a_role: vault("auth = { method = \"jwt\", token_file = \"/t\" }");
    a_vault_kubernetes_role: vault("auth = { method = \"kubernetes\", role = \"hushfs\" }");
    a_vault_aws_login: vault("auth = { method = \"aws\", role = \"hushfs\", region = \"eu-central-1\", header_value = \"vault.example\" }");
    a_vault_aws_login_without_a_role: vault("auth = { method = \"aws\" }");
    a_vault_aws_login_that_cannot_be: vault("auth = { method = \"aws\", role = \"r\", region = \"Frankfurt\", header_value = \"a b\" }");
    a_vault_setting_of_a_wrong_type: vault(
        "auth = { method = \"cert\", cert_file = 1, key_file = 2, role = 3, mount = 4 }"
    );
    a_vault_wrapping_of_a_wrong_type:
        vault("auth = { method = \"approle\", role_id_file = 1, secret_id_file = 2, wrapped = \"yes\" }");
    a_vault_token_in_the_file: vault("token = \"s.abcdef\"");
    an_aws_identity_in_a_vault_scope: identity("", "aws.role_arn = \"arn:aws:iam::123456789012:role/a\"");
    a_vault_identity_that_is_good: identity("", "vault.role = \"airflow\"");
    a_vault_identity_without_a_role: identity("", "vault.role_id_file = \"/r\"");
    a_vault_identity_whose_role_leaves_its_place: identity("", "vault.role = \"../root\"");
    a_vault_identity_without_the_files_of_its_approle: identity(
        "auth = { method = \"approle\", role_id_file = \"/r\", secret_id_file = \"/s\" }",
        "vault.role = \"airflow\""
    );
    a_vault_identity_with_files_that_have_no_effect: identity(
        "", "vault.role = \"airflow\"\nvault.role_id_file = \"/r\"\nvault.secret_id_file = \"/s\""
    );
}
