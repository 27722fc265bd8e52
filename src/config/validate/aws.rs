//! What a scope of any provider of AWS's may hold.

use super::section::Section;
use super::text;
use super::{address, files};
use crate::config::diagnostic::Diagnostic;
use crate::config::keys;
use crate::config::settings::{AssumeRole, AwsSettings};
use crate::config::written::Item;

/// How we come by credentials, where the SDK's own chain is not meant.
#[derive(Clone, Copy, PartialEq)]
enum Method {
    Profile,
    RoleArn,
}

pub fn read(section: &Section<'_>) -> AwsSettings {
    let (profile, assume_role) = match (section.inside("auth", keys::AWS_AUTH), section.get("auth")) {
        (Some(section), Some(item)) => auth(&section, item),
        _ => (None, None),
    };
    AwsSettings {
        region: region(section),
        profile,
        endpoint_url: address::endpoint(section),
        ca_file: section.path("ca_file").map(|(path, item)| {
            files::judge_ca_file(section, &path, item);
            path
        }),
        assume_role,
    }
}

fn region(section: &Section<'_>) -> Option<String> {
    const EXPECTED: &str = "a region such as \"us-east-1\"";
    let (text, item) = section.string("region", EXPECTED)?;
    if !text::is_region(text) {
        section.refuse("region", item, EXPECTED);
    }
    Some(text.to_owned())
}

/// A profile, also to take a role on with; and the role.
fn auth(section: &Section<'_>, whole: &Item) -> (Option<String>, Option<AssumeRole>) {
    section.reject_unknown();
    let methods = [("profile", Method::Profile), ("role_arn", Method::RoleArn)];
    let method = section.choice("method", &methods);
    let needed = match method {
        Some(Method::Profile) => "profile",
        Some(Method::RoleArn) => "role_arn",
        None => "method",
    };
    if section.get(needed).is_none() {
        let problem = Diagnostic::error(format!("{} has no `{needed}`", section.title()));
        section.add(match section.get("method") {
            Some(method) => problem.at(method.place.clone()).label(format!("expected `{needed}` beside it")),
            None => problem.at(whole.key.clone()).label("expected `method = \"profile\"` or \"role_arn\" in it"),
        });
    }
    for key in ["role_arn", "external_id"] {
        if let (Some(Method::Profile), Some(item)) = (method, section.get(key)) {
            section.add(
                Diagnostic::error(format!("{} has no effect with the method \"profile\"", section.name(key)))
                    .at(item.key.clone())
                    .help("use the method \"role_arn\", which takes a `profile` too"),
            );
        }
    }
    let profile = section.string("profile", "the name of a profile in ~/.aws/config").map(|(text, _)| text.to_owned());
    (profile, assume_role(section))
}

fn assume_role(section: &Section<'_>) -> Option<AssumeRole> {
    let external_id = external_id(section);
    const EXPECTED: &str = "the ARN of a role, such as \"arn:aws:iam::123456789012:role/NAME\"";
    let (text, item) = section.string("role_arn", EXPECTED)?;
    if !text::is_role_arn(text) {
        section.refuse("role_arn", item, EXPECTED);
    }
    Some(AssumeRole { role_arn: text.to_owned(), external_id })
}

fn external_id(section: &Section<'_>) -> Option<String> {
    const EXPECTED: &str = "2 to 1224 letters, digits or `_+=,.@:/-`";
    let (text, item) = section.string("external_id", EXPECTED)?;
    if !text::is_external_id(text) {
        section.refuse("external_id", item, EXPECTED);
    }
    Some(text.to_owned())
}
