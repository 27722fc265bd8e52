//! `[[identity]]`: as whom providers are asked for whom.

use super::section::Section;
use super::{Problems, as_table, principals, tables, text, unknown};
use crate::access::policy::Principal;
use crate::config::diagnostic::{Diagnostic, quoted};
use crate::config::keys;
use crate::config::settings::{ActsAs, IdentityRole, IdentitySettings, ProviderSettings, Scope, ScopeName};
use crate::config::suggest::nearest;
use crate::config::written::Item;

const TITLE: &str = "[[identity]]";
const DEFAULT_SESSION: &str = "hushfs-{host}-{user}";

/// Reads every `[[identity]]`. `names` are those of all scopes, `scopes` those that are otherwise right.
pub fn all(root: &Section<'_>, names: &[&str], scopes: &[&Scope], problems: &Problems) -> Vec<IdentitySettings> {
    let Some(elements) = tables::all(root, "identity", TITLE) else { return Vec::new() };
    let mut read: Vec<(IdentitySettings, &Item)> = Vec::new();
    for element in elements {
        let Some(identity) = one(element, names, scopes, problems) else { continue };
        for scope in &identity.scopes {
            let hides = |(earlier, _): &&(IdentitySettings, &Item)| {
                let has_it = |principal| earlier.principals.contains(principal);
                earlier.scopes.contains(scope)
                    && (has_it(&Principal::Everyone) || identity.principals.iter().all(has_it))
            };
            if let Some((_, first)) = read.iter().find(hides) {
                problems.add(
                    Diagnostic::error(format!("this identity can never apply in the scope {}", quoted(scope.as_str())))
                        .at(element.key.clone())
                        .also(first.key.clone(), "all of its callers have this one: the first that fits counts")
                        .help("put the one for fewer callers first, or remove it"),
                );
            }
        }
        read.push((identity, element));
    }
    read.into_iter().map(|(identity, _)| identity).collect()
}

/// None if there is nothing to make of it.
fn one(element: &Item, names: &[&str], scopes: &[&Scope], problems: &Problems) -> Option<IdentitySettings> {
    let section = Section::new(TITLE, as_table(element)?, &[keys::IDENTITY], problems);
    section.reject_unknown();
    // One with a mistake is left out, so that no other rule complains of what is left of it.
    let mut sound = true;
    let principals = principals::read(&section, TITLE, element, &mut sound);
    let mut of = Vec::new();
    let expected = "a list of scopes, such as [\"prod\"]";
    for (name, item) in tables::texts(&section, TITLE, "scopes", expected, element, &mut sound) {
        match ScopeName::new(name).filter(|_| names.contains(&name)) {
            Some(scope) => {
                let settings = scopes.iter().find(|it| it.name == scope).map(|it| &it.provider);
                match settings {
                    Some(
                        provider @ (ProviderSettings::Local(_)
                        | ProviderSettings::GcpSecretManager(_)
                        | ProviderSettings::Vault(_)
                        | ProviderSettings::Databricks(_)),
                    ) => {
                        section.add(one_identity_only(name, item, provider.kind()));
                        sound = false;
                    }
                    Some(ProviderSettings::AwsSecretsManager(_) | ProviderSettings::AwsParameterStore(_)) | None => {}
                }
                of.push(scope);
            }
            None => {
                section.add(no_such_scope(name, item, names));
                sound = false;
            }
        }
    }
    let acts_as = role(&section, element);
    let line = element.key.line().number;
    let place = format!("{}:{line}", element.key.file.path.display());
    let principals = principals.into_iter().map(|(principal, _)| principal).collect();
    Some(IdentitySettings { principals, scopes: of, acts_as: acts_as?, place }).filter(|_| sound)
}

fn role(section: &Section<'_>, element: &Item) -> Option<ActsAs> {
    const ARN: &str = "the ARN of a role, such as \"arn:aws:iam::123456789012:role/NAME\"";
    let Some(item) = section.get("aws") else {
        section.add(
            Diagnostic::error(format!("{TITLE} does not say which identity"))
                .at(element.key.clone())
                .label("expected the setting `aws.role_arn`"),
        );
        return None;
    };
    let aws = section.inside("aws", keys::IDENTITY_AWS)?;
    aws.reject_unknown();
    let external_id = template(&aws, "external_id", "2 to 1224 letters, digits or `_+=,.@:/-`", text::is_external_id);
    let session = "2 to 64 letters, digits or `_+=,.@-`";
    let session_name = template(&aws, "session_name", session, text::is_session_name);
    let Some((arn, item)) = aws.string("role_arn", ARN) else {
        if aws.get("role_arn").is_none() {
            let problem = Diagnostic::error(format!("{} has no `role_arn`", aws.title()));
            section.add(problem.at(item.key.clone()).label(format!("expected `aws.role_arn`: {ARN}")));
        }
        return None;
    };
    if !text::is_role_arn(arn) {
        aws.refuse("role_arn", item, ARN);
    }
    let session_name = session_name.unwrap_or_else(|| DEFAULT_SESSION.to_owned());
    Some(ActsAs::AwsRole(IdentityRole { role_arn: arn.to_owned(), external_id, session_name }))
}

/// A text in which `{host}`, `{user}` and `{uid}` stand for something else.
fn template(section: &Section<'_>, key: &'static str, expected: &str, is_right: fn(&str) -> bool) -> Option<String> {
    let (written, item) = section.string(key, expected)?;
    // As long as what they stand for is, at the least.
    let example = ["{host}", "{user}", "{uid}"].iter().fold(written.to_owned(), |text, it| text.replace(it, "xx"));
    if !is_right(&example) {
        section.refuse(key, item, &format!("{expected}, and `{{host}}`, `{{user}}` or `{{uid}}`"));
    }
    Some(written.to_owned())
}

fn one_identity_only(name: &str, item: &Item, kind: &str) -> Diagnostic {
    Diagnostic::error(format!("the scope {} cannot be asked as somebody else", quoted(name)))
        .at(item.place.clone())
        .label(format!("its provider is `{kind}`, which has one identity"))
        .help("grants say who may read it")
}

fn no_such_scope(name: &str, item: &Item, names: &[&str]) -> Diagnostic {
    let problem = Diagnostic::error(format!("there is no scope {}", quoted(name)))
        .at(item.place.clone())
        .label("expected the name of a scope");
    match nearest(name, names.iter().copied()) {
        Some(near) => problem.help(format!("did you mean {}?", quoted(near))),
        None if names.is_empty() => problem.note("there are no scopes"),
        None => problem.note(format!("the scopes are {}", unknown::list(names))),
    }
}
