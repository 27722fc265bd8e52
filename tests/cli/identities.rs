//! What is said of `[[identity]]`.

use hushfs::config::{ActsAs, IdentityRole, Source, load};

use crate::support::{Fixture, goldens};

const HEAD: &str = "[scopes.prod]\nprovider = \"aws-secrets-manager\"\n\
                    [scopes.dev]\nprovider = \"local\"\npath = \"/tmp\"\nallow_plaintext = true\n";
const ROLE: &str = "aws.role_arn = \"arn:aws:iam::123456789012:role/airflow\"";

/// A good identity with one line of another kind in the place of its own.
fn with(line: &str) -> String {
    let name = line.split(' ').next().unwrap_or_default();
    let good = ["principals = [\"uid:1000\"]", "scopes = [\"prod\"]", ROLE];
    let rest: Vec<&str> = good.into_iter().filter(|good| good.split(' ').next() != Some(name)).collect();
    format!("{HEAD}[[identity]]\n{line}\n{}\n", rest.join("\n"))
}

fn google(line: &str) -> String {
    let scope = "[scopes.google]\nprovider = \"gcp-secret-manager\"\nproject = \"my-project\"\n";
    format!("{scope}[[identity]]\nprincipals = [\"uid:1000\"]\nscopes = [\"google\"]\n{line}\n")
}

goldens! {
    an_identity_of_one_bracket: format!("{HEAD}[identity]\n{ROLE}\n");
    an_identity_of_nothing: format!("{HEAD}[[identity]]\n");
    an_identity_without_a_role: with("aws.external_id = \"abc\"").replace(ROLE, "");
    an_identity_of_nobody: with("principals = []");
    an_identity_with_an_unknown_key: with("vault.role = \"x\"");
    an_identity_with_an_unknown_aws_key: with("aws.role = \"x\"");
    an_identity_in_a_scope_that_is_not_there: with("scopes = [\"prd\"]");
    an_identity_in_a_scope_that_has_one_only: with("scopes = [\"prod\", \"dev\"]");
    an_identity_with_a_user_for_a_role: with("aws.role_arn = \"arn:aws:iam::123456789012:user/x\"");
    an_identity_with_an_unknown_placeholder: with("aws.session_name = \"hushfs-{pid}\"");
    an_identity_with_a_long_session_name: with(&format!("aws.session_name = \"{}\"", "x".repeat(65)));
    an_identity_after_one_for_everyone: format!(
        "{}[[identity]]\nprincipals = [\"uid:7\"]\nscopes = [\"prod\"]\n{ROLE}\n",
        with("principals = [\"everyone\"]")
    );
    an_identity_said_twice: format!(
        "{}[[identity]]\nprincipals = [\"uid:1000\"]\nscopes = [\"prod\"]\n{ROLE}\n",
        with("principals = [\"uid:1000\", \"uid:1001\"]")
    );
    an_identity_at_two_services: with("gcp.impersonate = \"a@my-project.iam.gserviceaccount.com\"");
    an_identity_at_another_service: format!(
        "{}[scopes.google]\nprovider = \"gcp-secret-manager\"\nproject = \"my-project\"\n",
        with("scopes = [\"google\"]")
    );
    an_identity_that_is_no_service_account: google("gcp.impersonate = \"airflow\"");
    an_identity_with_an_unknown_google_key: google("gcp.service_account = \"a@my-project.iam.gserviceaccount.com\"");
    an_identity_that_is_good_at_google: google("gcp.impersonate = \"a@my-project.iam.gserviceaccount.com\"");
    an_identity_that_is_good: with("aws.session_name = \"hushfs-{host}\"");
}

#[test]
fn an_identity_names_host_and_user_unless_told_otherwise() {
    let fixture = Fixture::new();
    fixture.write("hushfs.toml", with("aws.external_id = \"{host}/{uid}\""));
    let loaded = load(&Source::File(fixture.path().join("hushfs.toml"))).unwrap_or_else(|report| panic!("{report}"));
    let [identity] = loaded.config.identities.as_slice() else { panic!("{:?}", loaded.config.identities) };
    let ActsAs::AwsRole(IdentityRole { external_id, session_name, .. }) = &identity.acts_as else {
        panic!("{identity:?}")
    };
    assert_eq!((external_id.as_deref(), session_name.as_str()), (Some("{host}/{uid}"), "hushfs-{host}-{user}"));
    assert_eq!(fixture.without_directory(&identity.place), "[dir]/hushfs.toml:7");
}
