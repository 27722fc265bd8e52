//! `principals` of a `[[grant]]` or an `[[identity]]`.

use super::accounts::{self, System};
use super::section::Section;
use super::tables;
use crate::access::policy::{GlobError, Principal, PrincipalError};
use crate::config::diagnostic::{Diagnostic, quoted};
use crate::config::suggest::nearest;
use crate::config::written::Item;

const EXPECTED: &str = "a list such as [\"group:airflow\", \"unit:worker.service\"]";

/// The callers whom a table is about, each with its place. Clears `sound` where one of them is wrong.
pub fn read<'a>(section: &Section<'a>, title: &str, table: &Item, sound: &mut bool) -> Vec<(Principal, &'a Item)> {
    let mut principals = Vec::new();
    for (text, item) in tables::texts(section, title, "principals", EXPECTED, table, sound) {
        match Principal::parse(text, &System) {
            Ok(principal) => principals.push((principal, item)),
            Err(error) => {
                section.add(bad_principal(text, item, &error));
                *sound = false;
            }
        }
    }
    principals
}

fn bad_principal(text: &str, item: &Item, error: &PrincipalError) -> Diagnostic {
    let (kind, what) = text.split_once(':').unwrap_or(("", text));
    let problem =
        Diagnostic::error(format!("the principal {} cannot be used: {error}", quoted(text))).at(item.place.clone());
    let did_you_mean = |problem: Diagnostic, near: Option<String>| match near {
        Some(near) => problem.help(format!("did you mean \"{near}\"?")),
        None => problem,
    };
    let is_number = !what.is_empty() && what.bytes().all(|byte| byte.is_ascii_digit());
    match error {
        PrincipalError::NoKind if nearest(text, ["everyone"]).is_some() => {
            did_you_mean(problem, Some("everyone".to_owned()))
        }
        PrincipalError::NoKind => problem.label(format!("expected \"everyone\", or one of {}", kinds())),
        PrincipalError::UnknownKind(_) => did_you_mean(
            problem.label(format!("expected \"everyone\", or one of {}", kinds())),
            nearest(kind, Principal::KINDS.iter().copied()).map(|near| format!("{near}:{what}")),
        ),
        PrincipalError::UnknownUser if is_number => did_you_mean(problem, Some(format!("uid:{what}"))),
        PrincipalError::UnknownGroup if is_number => did_you_mean(problem, Some(format!("gid:{what}"))),
        PrincipalError::UnknownUser => {
            did_you_mean(problem, accounts::nearest_user(what).map(|near| format!("user:{near}")))
                .note("a user who is not there yet can be named by number: \"uid:1000\"")
        }
        PrincipalError::UnknownGroup => {
            did_you_mean(problem, accounts::nearest_group(what).map(|near| format!("group:{near}")))
                .note("a group that is not there yet can be named by number: \"gid:50\"")
        }
        PrincipalError::NotAnId if !is_number => {
            problem.help(format!("a name is written \"{}:{what}\"", if kind == "uid" { "user" } else { "group" }))
        }
        PrincipalError::UnitSuffix if !what.contains('.') => did_you_mean(problem, Some(format!("{text}.service"))),
        PrincipalError::UnitTemplate => did_you_mean(problem, Some(text.replacen("@.", "@*.", 1))),
        PrincipalError::ShortContainerId => did_you_mean(problem, Some(format!("{text}*"))),
        PrincipalError::RelativePath if kind == "exe" => {
            problem.help("write the whole path, such as \"exe:/usr/bin/psql\"")
        }
        PrincipalError::RelativePath => did_you_mean(problem, Some(format!("{kind}:/{what}"))),
        PrincipalError::Glob(error) => about_globs(problem, *error),
        PrincipalError::Lookup(_) => problem.help(
            "see to it that names can be looked up when hushfs starts, or write the number: \"uid:1000\", \"gid:50\"",
        ),
        PrincipalError::Empty | PrincipalError::NotAnId | PrincipalError::UnitSuffix => problem,
    }
}

fn kinds() -> String {
    Principal::KINDS.iter().map(|kind| format!("\"{kind}:…\"")).collect::<Vec<_>>().join(", ")
}

/// Says what globs have.
pub fn about_globs(problem: Diagnostic, error: GlobError) -> Diagnostic {
    match error {
        GlobError::Unsupported(_) | GlobError::DeepInComponent => {
            problem.note("globs have `*` and `?` within a name, and `**` for any number of names")
        }
        GlobError::Empty | GlobError::EmptyComponent | GlobError::Control | GlobError::TooManyComponents => problem,
    }
}
