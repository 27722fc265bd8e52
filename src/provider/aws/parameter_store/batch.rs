//! Many reads of single parameters at once as one GetParameters.

use aws_sdk_ssm::types::Parameter;

use super::Shared;
use super::document::{self, Member};
use super::names::Spelled;
use super::{describe, fetch};
use crate::provider::aws::batch::{Batched, Batches};
use crate::provider::{Answer, Error, ErrorKind, Fetched};

/// As many as GetParameters takes.
pub(super) const MOST: usize = 10;

/// For each name, in their order.
type Answers = Vec<Option<Result<Fetched, Error>>>;

impl Batched for Shared {
    type Name = Spelled;
    const MOST: usize = MOST;

    fn batches(&self) -> &Batches<Spelled> {
        &self.batches
    }

    fn alone<'a>(&'a self, name: &'a Spelled) -> Answer<'a, Fetched> {
        Box::pin(async move { document::fetched(vec![fetch::parameter(self, name).await?], None, &name.0) })
    }

    fn together<'a>(&'a self, names: &'a [Spelled]) -> Answer<'a, Answers> {
        Box::pin(together(self, names))
    }
}

/// What GetParameters answers.
pub(super) struct Answered {
    pub(super) found: Vec<Parameter>,
    /// Names of which there is no such parameter, or no such version.
    invalid: Vec<String>,
}

/// GetParameters of up to [`MOST`] names.
pub(super) async fn parameters(shared: &Shared, names: Vec<String>, call: &str) -> Result<Answered, Error> {
    let session = shared.aws.session().await?;
    let request = session.client.get_parameters().set_names(Some(names)).with_decryption(true);
    let answer = request.send().await.map_err(|error| shared.aws.failed(&session, call, &error))?;
    Ok(Answered {
        found: describe::listed(answer.parameters, call)?,
        invalid: answer.invalid_parameters.unwrap_or_default(),
    })
}

async fn together(shared: &Shared, names: &[Spelled]) -> Result<Answers, Error> {
    let call = format!("GetParameters of {} parameters", names.len());
    let Answered { found, invalid } =
        parameters(shared, names.iter().map(|name| name.0.clone()).collect(), &call).await?;
    let mut answers: Answers = names.iter().map(|_| None).collect();
    for parameter in found {
        let at = names.iter().position(|name| parameter.name.as_deref() == Some(&*name.0));
        if let Some((name, answer)) = at.and_then(|at| Some((names.get(at)?, answers.get_mut(at)?))) {
            *answer = Some(one(shared, name, parameter));
        }
    }
    for (name, answer) in names.iter().zip(&mut answers) {
        if answer.is_none() && invalid.contains(&name.0) {
            let text = format!("GetParameters of `{name}`: there is no such parameter");
            *answer = Some(Err(Error::new(ErrorKind::NotFound, text)));
        }
    }
    Ok(answers)
}

fn one(shared: &Shared, name: &Spelled, parameter: Parameter) -> Result<Fetched, Error> {
    let call = format!("GetParameters of `{name}`");
    let member = Member::new(None, parameter, &call)?;
    document::check_size(std::slice::from_ref(&member), shared.aws.max_secret_bytes, &call)?;
    document::fetched(vec![member], None, &name.0)
}
