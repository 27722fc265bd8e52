//! Names, times and version numbers of parameters, without a value.

use std::time::SystemTime;

use aws_sdk_ssm::operation::describe_parameters::paginator::DescribeParametersPaginator;
use aws_sdk_ssm::types::{ParameterMetadata, ParameterStringFilter, ParameterTier};

use super::known::Own;
use super::names::{FullName, Spelled};
use super::{Api, Shared};
use crate::provider::aws::session::Session;
use crate::provider::pages::Pages;
use crate::provider::{Error, ErrorKind};

/// As many as the service gives at a time; it may give fewer, or none and more later.
const PAGE: i32 = 50;

/// How deep below a path.
#[derive(Debug, Clone, Copy)]
pub(super) enum Depth {
    OneLevel,
    All,
}

/// Everything below `path`, or in the whole account.
pub(super) fn pages(session: &Session<Api>, path: Option<(&str, Depth)>) -> DescribeParametersPaginator {
    let filter = path.and_then(|(path, depth)| {
        let depth = match depth {
            Depth::OneLevel => "OneLevel",
            Depth::All => "Recursive",
        };
        filter("Path", depth, vec![path.to_owned()])
    });
    let request = session.client.describe_parameters().set_parameter_filters(filter.map(|filter| vec![filter]));
    request.max_results(PAGE).into_paginator()
}

fn filter(key: &str, option: &str, values: Vec<String>) -> Option<ParameterStringFilter> {
    // It has a key: nothing else is asked for.
    ParameterStringFilter::builder().key(key).option(option).set_values(Some(values)).build().ok()
}

/// An answer without its list is none: it must not be taken for one that says that nothing is there.
pub(super) fn listed<T>(parameters: Option<Vec<T>>, call: &str) -> Result<Vec<T>, Error> {
    parameters.ok_or_else(|| Error::new(ErrorKind::Malformed, format!("{call}: the answer has no list of parameters")))
}

/// The parameter that is called like the secret itself. Only one directly in the scope's path is the secret's own;
/// further down it is a key of the directory that it stands in.
pub(super) async fn own(shared: &Shared, name: &FullName) -> Result<Option<Described>, Error> {
    if !name.is_top {
        return Ok(None);
    }
    let spellings: Vec<String> = name.spellings().into_iter().map(|name| name.0).collect();
    let call = format!("DescribeParameters of `{}`", name.as_str());
    let session = shared.aws.session().await?;
    let filters = filter("Name", "Equals", spellings.clone()).map(|filter| vec![filter]);
    let request = session.client.describe_parameters().set_parameter_filters(filters).max_results(PAGE);
    let mut pages = request.into_paginator().send();
    let mut bound = Pages::of(&call);
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| shared.aws.failed(&session, &call, &error))?;
        bound.turn(page.next_token.as_deref())?;
        let found = listed(page.parameters, &call)?.into_iter().filter_map(Described::of);
        // Filters have been looser than they are documented.
        if let Some(own) = found.into_iter().find(|it| spellings.contains(&it.name.0)) {
            return Ok(Some(own));
        }
    }
    Ok(None)
}

/// A parameter without its value.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) name: Spelled,
    pub(super) version: i64,
    pub(super) changed: Option<SystemTime>,
    is_standard: bool,
}

impl Described {
    pub(super) fn of(parameter: ParameterMetadata) -> Option<Self> {
        Some(Self {
            name: Spelled(parameter.name?),
            version: parameter.version,
            changed: parameter.last_modified_date.and_then(|date| SystemTime::try_from(date).ok()),
            is_standard: parameter.tier == Some(ParameterTier::Standard),
        })
    }

    pub(super) fn as_own(&self) -> Own {
        Own { name: self.name.clone(), is_standard: self.is_standard }
    }
}
