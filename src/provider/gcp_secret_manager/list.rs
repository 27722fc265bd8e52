//! Every secret of a scope.

use std::collections::HashMap;
use std::time::SystemTime;

use google_cloud_secretmanager_v1::model::Secret;

use super::known::About;
use super::{Shared, client, names};
use crate::provider::pages::Pages;
use crate::provider::text::clean;
use crate::provider::{Error, Listed, Listing, SecretName};

const CALL: &str = "ListSecrets";
/// As many as the service gives at a time.
const PAGE: i32 = 25_000;

pub(super) async fn list(shared: &Shared) -> Result<Listing, Error> {
    let prefix = &shared.settings.prefix;
    let session = shared.sessions.get(shared).await?;
    let (mut listing, mut known) = (Listing::default(), HashMap::new());
    let mut token = String::new();
    let mut bound = Pages::of(CALL);
    loop {
        let mut request = session.client.list_secrets().set_parent(shared.place.as_str()).set_page_size(PAGE);
        if !prefix.is_empty() {
            // Finds it anywhere in a name, so it is looked at again below.
            request = request.set_filter(format!("name:{prefix}"));
        }
        let answer = client::ours(request.set_page_token(&token)).send().await;
        let page = answer.map_err(|error| shared.sessions.failed(&session, CALL, &error))?;
        for secret in page.secrets {
            let labels = secret.labels.iter().map(|(key, value)| key.len() + value.len());
            bound.entry(secret.name.len() + labels.sum::<usize>())?;
            add(secret, prefix, &mut listing, &mut known);
        }
        if page.next_page_token.is_empty() {
            shared.known.replace(known);
            return Ok(listing);
        }
        bound.turn(Some(&page.next_page_token))?;
        token = page.next_page_token;
    }
}

fn add(secret: Secret, prefix: &str, listing: &mut Listing, known: &mut HashMap<String, About>) {
    let Some(id) = names::id_in(&secret.name) else {
        listing.left_out.push((clean(&secret.name), "its name is not that of a secret".into()));
        return;
    };
    let Some(name) = id.strip_prefix(prefix) else { return };
    let Some(name) = SecretName::new(name) else {
        listing.left_out.push((id.to_owned(), "its name is the scope's prefix and nothing more".into()));
        return;
    };
    let made = secret.create_time.and_then(|time| SystemTime::try_from(time).ok());
    known.insert(id.to_owned(), About::new(made, secret.labels));
    listing.secrets.push(Listed { name, changed: made });
}
