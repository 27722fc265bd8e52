//! Values of the wrong type, and values that cannot be meant.

use crate::support::goldens;

const AWS: &str = "[scopes.prod]\nprovider = \"aws-secrets-manager\"\n";

const GCP: &str = "[scopes.gcp]\nprovider = \"gcp-secret-manager\"\nproject = \"my-project\"\n";

fn gcp(line: &str) -> String {
    format!("{GCP}{line}\n")
}

fn aws(line: &str) -> String {
    format!("{AWS}{line}\n")
}

goldens! {
    a_duration_without_a_unit: "[cache]\nttl = 300\n";
    a_duration_without_a_unit_in_quotes: "[cache]\nttl = \"300\"\n";
    a_duration_with_an_unknown_unit: "[cache]\nttl = \"5min\"\n";
    a_duration_with_a_fraction: "[cache]\nttl = \"1.5h\"\n";
    a_duration_that_is_negative: "[cache]\nttl = \"-5s\"\n";
    a_duration_that_is_a_negative_integer: "[cache]\nttl = -5\n";
    a_duration_that_overflows: "[cache]\nttl = \"99999999999999999h\"\n";
    a_duration_in_words: "[cache]\nttl = \"five minutes\"\n";
    a_duration_that_is_empty: "[cache]\nttl = \"\"\n";
    a_duration_that_is_a_boolean: "[cache]\nttl = true\n";
    a_duration_that_is_a_time: "[cache]\nttl = 00:05:00\n";
    a_timeout_of_zero: "[cache]\ntimeout = \"0s\"\n";
    a_timeout_of_zero_in_a_scope: aws("timeout = \"0\"");
    a_size_in_decimal_units: "[cache]\nmax_bytes = \"64MB\"\n";
    a_size_that_is_negative: "[cache]\nmax_bytes = -1\n";
    a_size_that_is_too_large: "[cache]\nmax_bytes = 99999999999999999999\n";
    a_size_of_zero: "[cache]\nmax_bytes = 0\n";
    a_rate_without_a_time: "[cache]\ncalls = 40\n";
    a_rate_without_a_time_in_quotes: "[cache]\ncalls = \"40\"\n";
    a_rate_in_words: "[scopes.prod]\nprovider = \"aws-secrets-manager\"\ncalls = \"40 per second\"\n";
    a_rate_of_nothing: "[cache]\ncalls = \"0/s\"\n";
    a_rate_that_is_none: "[cache]\ncalls = \"a lot\"\n";
    a_rate_that_is_a_boolean: "[cache]\ncalls = false\n";
    a_size_that_is_a_boolean: "[cache]\nmax_bytes = true\n";
    the_largest_value_above_the_memory: "[cache]\nmax_bytes = \"1MiB\"\nmax_secret_bytes = \"2MiB\"\n";
    the_largest_value_above_the_default_memory: "[cache]\nmax_secret_bytes = \"65MiB\"\n";
    the_largest_value_of_a_scope_above_the_memory: aws("max_secret_bytes = \"65MiB\"");
    the_memory_below_the_default_largest_value: "[cache]\nmax_bytes = \"512KiB\"\n";
    a_share_that_is_infinite: "[cache]\nrefresh_ahead = inf\n";
    a_share_that_is_not_a_number: "[cache]\nrefresh_ahead = nan\n";
    a_share_of_zero: "[cache]\nrefresh_ahead = 0\n";
    a_share_above_one: "[cache]\nrefresh_ahead = 1.01\n";
    a_share_in_percent: "[cache]\nrefresh_ahead = \"80%\"\n";
    a_boolean_in_quotes: "allow_other = \"true\"\n";
    a_boolean_that_is_an_integer: "allow_other = 1\n";
    a_choice_near_a_known_one: "root = \"alow\"\n";
    a_choice_near_nothing: aws("format = \"xml\"");
    a_choice_that_is_a_boolean: "root = true\n";
    a_mountpoint_that_is_relative: "mountpoint = \"secrets\"\n";
    a_mountpoint_that_is_the_root: "mountpoint = \"//\"\n";
    a_mountpoint_with_a_tilde: "mountpoint = \"~/secrets\"\n";
    a_mountpoint_with_a_nul: "mountpoint = \"/a\\u0000b\"\n";
    a_mountpoint_that_is_empty: "mountpoint = \"\"\n";
    a_mountpoint_that_is_a_table: "[mountpoint]\npath = \"/secrets\"\n";
    a_socket_path_that_is_too_long: format!("[control]\nsocket = \"/{}\"\n", "s".repeat(107));
    a_cache_that_is_no_table: "cache = \"5m\"\n";
    a_path_of_parameters_that_does_not_end_with_a_slash: "[scopes.x]\nprovider = \"aws-parameter-store\"\npath = \"/app/prod\"\n";
    a_region_that_is_none: aws("region = \"us-east-1.example.com/\"");
    a_profile_that_is_empty: aws("auth = { method = \"profile\", profile = \"\" }");
    an_endpoint_without_a_scheme: aws("endpoint_url = \"127.0.0.1:5000\"");
    an_endpoint_without_a_host: aws("endpoint_url = \"https:///\"");
    an_endpoint_with_a_bad_port: aws("endpoint_url = \"https://localhost:99999\"");
    an_endpoint_with_a_query: aws("endpoint_url = \"https://localhost/?a=b\"");
    an_endpoint_with_a_credential: aws("endpoint_url = \"https://me:hunter2@localhost\"");
    an_endpoint_that_is_not_encrypted: aws("endpoint_url = \"http://vault.example:8200\"");
    a_role_that_is_no_arn: aws("auth = { method = \"role_arn\", role_arn = \"airflow\" }");
    a_role_that_is_a_user: aws("auth = { method = \"role_arn\", role_arn = \"arn:aws:iam::123456789012:user/airflow\" }");
    an_external_id_without_a_role: aws("auth = { method = \"profile\", profile = \"a\", external_id = \"abc\" }");
    an_external_id_with_a_space: aws(
        "auth = { method = \"role_arn\", role_arn = \"arn:aws:iam::123456789012:role/a\", external_id = \"a b\" }"
    );
    a_google_scope_without_a_project: "[scopes.gcp]\nprovider = \"gcp-secret-manager\"\n";
    a_project_that_is_a_path: "[scopes.gcp]\nprovider = \"gcp-secret-manager\"\nproject = \"projects/my-project\"\n";
    a_location_that_is_none: gcp("location = \"Europe/West\"");
    a_prefix_with_a_slash_at_google: gcp("prefix = \"prod/\"");
    a_ca_file_at_google: gcp("ca_file = \"/etc/ssl/certs/ca.pem\"");
    an_auth_at_google_without_a_method: gcp("auth = { key_file = \"/nonexistent/key.json\" }");
    an_auth_by_key_file_without_one: gcp("auth = { method = \"service-account\" }");
    an_auth_by_token_file_that_is_not_there: gcp("auth = { method = \"access-token\", token_file = \"/nonexistent/t\" }");
    an_auth_with_the_file_of_another_method: gcp(
        "auth = { method = \"impersonate\", service_account = \"a@my-project.iam.gserviceaccount.com\", key_file = \"/nonexistent/k\" }"
    );
    an_auth_as_somebody_who_is_no_service_account: gcp("auth = { method = \"impersonate\", service_account = \"app\" }");
    an_auth_as_nobody_at_google: gcp("auth = { method = \"anonymous\" }");
    an_auth_that_is_no_table: aws("auth = \"profile\"");
    an_auth_without_a_method: aws("auth = { profile = \"a\" }");
    an_auth_with_a_method_of_another_provider: aws("auth = { method = \"approle\" }");
    an_auth_with_an_unknown_key: aws("auth = { method = \"profile\", profile = \"a\", profil = \"b\" }");
    an_auth_by_profile_without_one: aws("auth = { method = \"profile\" }");
    an_auth_by_role_without_one: aws("auth = { method = \"role_arn\" }");
    a_role_that_stands_in_the_scope: aws("role_arn = \"arn:aws:iam::123456789012:role/a\"");
    a_long_line: format!("mountpoint = \"{}\"\n", "x".repeat(1_000));
}
