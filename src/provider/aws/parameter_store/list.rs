//! Every secret of a scope.

use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use super::describe::{self, Depth, Described};
use super::known::Shape;
use super::names::{ScopePath, are_components};
use super::{OWN_KEY, Shared, reference};
use crate::provider::pages::Pages;
use crate::provider::{Error, Listed, Listing, SecretName};

const CALL: &str = "DescribeParameters";

pub(super) async fn list(shared: &Shared) -> Result<Listing, Error> {
    reference::refuse_to_list(&shared.path)?;
    let session = shared.aws.session().await?;
    let path = (!shared.path.is_root()).then(|| (shared.path.bare(), Depth::All));
    let mut pages = describe::pages(&session, path).send();
    let mut secrets = Secrets::default();
    let mut bound = Pages::of(CALL);
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| shared.aws.failed(&session, CALL, &error))?;
        for parameter in describe::listed(page.parameters, CALL)?.into_iter().filter_map(Described::of) {
            bound.entry(parameter.name.0.len())?;
            secrets.add(&shared.path, parameter);
        }
        bound.turn(page.next_token.as_deref())?;
    }
    let (listing, shapes) = secrets.listing();
    shared.known.replace(shapes);
    Ok(listing)
}

/// Parameters, put together into the secrets that they are of.
#[derive(Default)]
struct Secrets {
    found: BTreeMap<String, Secret>,
    left_out: Vec<(String, String)>,
}

#[derive(Default)]
struct Secret {
    shape: Shape,
    changed: Option<SystemTime>,
    /// Its directory has a parameter that is called like the key of its own.
    hides_own: bool,
}

impl Secrets {
    fn add(&mut self, path: &ScopePath, parameter: Described) {
        let Some(relative) = path.relative(&parameter.name.0) else { return };
        let (secret, key) = match relative.rsplit_once('/') {
            Some((directory, key)) => (directory, Some(key)),
            None => (relative, None),
        };
        if !are_components(relative) {
            self.left_out.push((parameter.name.0, "its name is none that Parameter Store takes".into()));
            return;
        }
        let secret = self.found.entry(secret.to_owned()).or_default();
        secret.changed = secret.changed.max(parameter.changed);
        match key {
            Some(key) => {
                secret.shape.directory = true;
                secret.hides_own |= key == OWN_KEY;
            }
            None => secret.shape.own = Some(parameter.as_own()),
        }
    }

    fn listing(mut self) -> (Listing, HashMap<String, Shape>) {
        let mut secrets = Vec::with_capacity(self.found.len());
        let mut shapes = HashMap::with_capacity(self.found.len());
        for (name, Secret { shape, changed, hides_own }) in self.found {
            let Some(listed) = SecretName::new(name.clone()) else { continue };
            if let Some(own) = shape.own.as_ref().filter(|_| hides_own) {
                let why = format!("hidden behind the parameter {name}/{OWN_KEY}; rename one of the two");
                self.left_out.push((own.name.0.clone(), why));
            }
            secrets.push(Listed { name: listed, changed });
            shapes.insert(name, shape);
        }
        (Listing { secrets, left_out: self.left_out }, shapes)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_sdk_ssm::primitives::DateTime;
    use aws_sdk_ssm::types::ParameterMetadata;

    use super::*;

    fn listing(path: &str, names: &[&str]) -> (Listing, HashMap<String, Shape>) {
        let path = ScopePath::new(path).unwrap();
        let mut secrets = Secrets::default();
        for (second, name) in names.iter().enumerate() {
            let date = DateTime::from_secs(second as i64);
            let parameter = ParameterMetadata::builder().name(*name).last_modified_date(date).build();
            secrets.add(&path, Described::of(parameter).unwrap());
        }
        secrets.listing()
    }

    #[test]
    fn parameters_are_keys_of_the_directory_that_they_stand_in() {
        let names = ["/app/db/PASSWORD", "/app/db/USER", "/app/lone", "/app/a/b/c/KEY", "/apple/x", "/app/db"];
        let (listing, shapes) = listing("/app/", &names);
        let found: Vec<_> = listing.secrets.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(found, ["a/b/c", "db", "lone"]);
        assert_eq!(listing.secrets[1].changed, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(5)), "the latest");
        assert!(shapes["db"].directory && shapes["db"].own.is_some());
        assert!(!shapes["lone"].directory && shapes["lone"].own.is_some());
        assert!(shapes["a/b/c"].directory && shapes["a/b/c"].own.is_none());
        assert!(listing.left_out.is_empty(), "{:?}", listing.left_out);
    }

    #[test]
    fn what_cannot_be_shown_is_named() {
        let (listing, _) = listing("/", &["/db", "db/value", "/x//y", "//", "plain"]);
        let found: Vec<_> = listing.secrets.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(found, ["db", "plain"]);
        let left_out: Vec<_> = listing.left_out.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(left_out, ["/x//y", "//", "/db"]);
    }
}
