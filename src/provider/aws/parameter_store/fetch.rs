//! One version of one secret.

use std::sync::Arc;

use aws_sdk_ssm::types::Parameter;

use super::describe::{self, Depth, Described};
use super::document::{self, Member};
use super::known::{Own, Shape};
use super::names::{FullName, Spelled};
use super::version::{self, Named};
use super::{Shared, batch, reference};
use crate::provider::aws::batch::current as alone_or_with_others;
use crate::provider::pages::Pages;
use crate::provider::text::clean;
use crate::provider::{Error, ErrorKind, Fetched, SecretName, VersionSelector};

/// As many parameters as GetParametersByPath gives at a time.
const PAGE: i32 = 10;

pub(super) async fn fetch(
    shared: &Arc<Shared>,
    name: &SecretName,
    version: &VersionSelector,
) -> Result<Fetched, Error> {
    let full = FullName::new(&shared.path, name)?;
    if shared.path.is_reference() {
        return reference::fetch(shared, &full, version).await;
    }
    match version {
        VersionSelector::Current => current(shared, name, &full).await,
        VersionSelector::Previous => previous(shared, &full).await,
        VersionSelector::Named(text) => match Named::parse(text) {
            Some(Named::Selector(selector)) => selected(shared, &full, members(shared, &full).await?, selector).await,
            Some(Named::State) => {
                let fetched = current(shared, name, &full).await?;
                if fetched.version == *text { Ok(fetched) } else { Err(no_such_state(&full, text)) }
            }
            None => {
                let text = format!("`{}`: no version of a parameter can be called `{}`", full.as_str(), clean(text));
                Err(Error::new(ErrorKind::NotFound, text))
            }
        },
    }
}

fn no_such_state(full: &FullName, text: &str) -> Error {
    let text = format!(
        "`{}` is not in the state {} any more; Parameter Store keeps versions of single parameters, see @<number>",
        full.as_str(),
        clean(text)
    );
    Error::new(ErrorKind::NotFound, text)
}

fn nothing_there(full: &FullName) -> Error {
    let text = format!("Parameter Store has no parameter in `{}/`", full.as_str());
    let itself = if full.is_top { " and none of that name" } else { "" };
    Error::new(ErrorKind::NotFound, format!("{text}{itself}"))
}

/// As it is now. What is known to be there is asked for alone; should it be gone, nothing is known any more.
async fn current(shared: &Arc<Shared>, name: &SecretName, full: &FullName) -> Result<Fetched, Error> {
    let known = if full.is_top { shared.known.of(name.as_str()) } else { Some(Shape { own: None, directory: true }) };
    match known {
        Some(Shape { own: Some(Own { name: spelled, .. }), directory: false }) => {
            match alone_or_with_others(shared, spelled).await {
                Err(error) if error.kind == ErrorKind::NotFound => {}
                answer => return answer,
            }
        }
        Some(Shape { own: None, directory: true }) => {
            let members = directory(shared, full).await?;
            if !members.is_empty() {
                return document::fetched(members, None, full.as_str());
            }
            if !full.is_top {
                return Err(nothing_there(full));
            }
        }
        Some(Shape { own: Some(_), directory: true }) => {
            let (own, members) = tokio::try_join!(own(shared, full), directory(shared, full))?;
            return put_together(own, members, full);
        }
        Some(Shape { own: None, directory: false }) | None => {}
    }
    shared.known.forget(name.as_str());
    let answers = tokio::join!(own(shared, full), directory(shared, full));
    let (own, members) = whatever_is_allowed(answers)?;
    put_together(own, members, full)
}

/// Where nobody may look, a read may still be allowed of one and not of the other.
fn whatever_is_allowed(
    answers: (Result<Option<Member>, Error>, Result<Vec<Member>, Error>),
) -> Result<(Option<Member>, Vec<Member>), Error> {
    let is_refused = |error: &Error| error.kind == ErrorKind::Denied;
    match answers {
        (Ok(own), Ok(members)) => Ok((own, members)),
        (Err(error), Ok(members)) if is_refused(&error) && !members.is_empty() => Ok((None, members)),
        (Ok(Some(own)), Err(error)) if is_refused(&error) => Ok((Some(own), Vec::new())),
        (Err(one), Err(other)) if is_refused(&one) => Err(other),
        (Err(error), _) | (Ok(_), Err(error)) => Err(error),
    }
}

fn put_together(own: Option<Member>, mut members: Vec<Member>, full: &FullName) -> Result<Fetched, Error> {
    members.extend(own);
    if members.is_empty() {
        return Err(nothing_there(full));
    }
    document::fetched(members, None, full.as_str())
}

/// The parameter that is called like the secret itself, if there is one.
async fn own(shared: &Shared, full: &FullName) -> Result<Option<Member>, Error> {
    for name in full.spellings() {
        match parameter(shared, &name).await {
            Ok(member) => return Ok(Some(member)),
            Err(error) if error.kind == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// GetParameter.
pub(super) async fn parameter(shared: &Shared, name: &Spelled) -> Result<Member, Error> {
    let call = format!("GetParameter of `{name}`");
    let session = shared.aws.session().await?;
    let answer = session.client.get_parameter().name(&name.0).with_decryption(true).send().await;
    let answer = answer.map_err(|error| shared.aws.failed(&session, &call, &error))?;
    let lacks = || Error::new(ErrorKind::Malformed, format!("{call}: the answer has no parameter"));
    let member = Member::new(None, answer.parameter.ok_or_else(lacks)?, &call)?;
    document::check_size(std::slice::from_ref(&member), shared.aws.max_secret_bytes, &call)?;
    Ok(member)
}

/// GetParametersByPath: every parameter that stands directly in the directory.
async fn directory(shared: &Shared, full: &FullName) -> Result<Vec<Member>, Error> {
    let call = format!("GetParametersByPath of `{}`", full.as_str());
    let session = shared.aws.session().await?;
    let request = session.client.get_parameters_by_path().path(full.as_str()).recursive(false).with_decryption(true);
    let mut pages = request.max_results(PAGE).into_paginator().send();
    let mut members = Vec::new();
    let mut bound = Pages::of(&call);
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| shared.aws.failed(&session, &call, &error))?;
        for parameter in describe::listed(page.parameters, &call)? {
            members.extend(of_directory(full, parameter, &call)?);
        }
        document::check_size(&members, shared.aws.max_secret_bytes, &call)?;
        bound.turn(page.next_token.as_deref())?;
    }
    Ok(members)
}

/// None where the parameter does not stand directly in the directory.
fn of_directory(full: &FullName, parameter: Parameter, call: &str) -> Result<Option<Member>, Error> {
    let Some(name) = parameter.name.clone() else {
        return Err(Error::new(ErrorKind::Malformed, format!("{call}: the answer has a parameter without a name")));
    };
    full.key_of(&name).map(|key| Member::new(Some(key), parameter, call)).transpose()
}

/// What a secret is made of, without its values.
async fn members(shared: &Shared, full: &FullName) -> Result<Vec<Described>, Error> {
    let call = format!("DescribeParameters in `{}/`", full.as_str());
    let in_directory = async {
        let session = shared.aws.session().await?;
        let mut pages = describe::pages(&session, Some((full.as_str(), Depth::OneLevel))).send();
        let mut found = Vec::new();
        let mut bound = Pages::of(&call);
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| shared.aws.failed(&session, &call, &error))?;
            let described = describe::listed(page.parameters, &call)?.into_iter().filter_map(Described::of);
            for described in described.filter(|it| full.key_of(&it.name.0).is_some()) {
                bound.entry(described.name.0.len())?;
                found.push(described);
            }
            bound.turn(page.next_token.as_deref())?;
        }
        Ok(found)
    };
    let (own, mut found) = tokio::try_join!(describe::own(shared, full), in_directory)?;
    found.extend(own);
    if found.is_empty() { Err(nothing_there(full)) } else { Ok(found) }
}

/// The version before the current one of a lone parameter.
async fn previous(shared: &Shared, full: &FullName) -> Result<Fetched, Error> {
    let members = members(shared, full).await?;
    match members.as_slice() {
        [own] if full.key_of(&own.name.0).is_none() => match own.version.checked_sub(1).filter(|before| *before > 0) {
            Some(before) => selected(shared, full, members, &before.to_string()).await,
            None => Err(Error::new(ErrorKind::NotFound, format!("`{}` has one version only", full.as_str()))),
        },
        _ => Err(Error::new(
            ErrorKind::NotFound,
            format!(
                "`{}` is a directory: its parameters have versions of their own, which @<number> or @<label> names",
                full.as_str()
            ),
        )),
    }
}

/// Of each parameter the version with this number or label, where it has one.
async fn selected(shared: &Shared, full: &FullName, members: Vec<Described>, selector: &str) -> Result<Fetched, Error> {
    let mut found = Vec::new();
    for some in members.chunks(batch::MOST) {
        let names: Vec<String> = some.iter().map(|it| format!("{}:{selector}", it.name)).collect();
        let call = format!("GetParameters of {}, version `{selector}`", names.join(", "));
        for parameter in batch::parameters(shared, names, &clean(&call)).await?.found {
            let name = parameter.name.clone().unwrap_or_default();
            let is_asked_for = some.iter().any(|it| it.name.0 == name);
            if is_asked_for {
                found.push(Member::new(full.key_of(&name), parameter, &call)?);
            }
        }
        document::check_size(&found, shared.aws.max_secret_bytes, &call)?;
    }
    if found.is_empty() {
        let text = format!("no parameter of `{}` has a version `{selector}`", full.as_str());
        return Err(Error::new(ErrorKind::NotFound, text));
    }
    document::fetched(found, Some(selector).filter(|text| version::is_number(text)), full.as_str())
}
