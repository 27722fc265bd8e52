//! What the API says of objects.
//!
//! Of metadata only what is needed is kept: the annotations of an object that was made with `kubectl apply` hold its
//! values.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::Shared;
use super::error::not_understood;
use crate::provider::rest::object;
use crate::provider::{Error, ErrorKind};
use crate::secret::Secret;

/// An object without its values.
#[derive(Debug, Deserialize)]
pub(super) struct Partial {
    pub(super) metadata: Metadata,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) name: String,
    #[serde(default)]
    pub(super) resource_version: String,
    #[serde(default)]
    pub(super) labels: Option<BTreeMap<String, String>>,
    creation_timestamp: Option<String>,
    #[serde(default)]
    managed_fields: Option<Vec<Managed>>,
}

#[derive(Debug, Deserialize)]
struct Managed {
    time: Option<String>,
}

impl Metadata {
    /// How much room it takes, in bytes, roughly.
    pub(super) fn text(&self) -> usize {
        let labels = self.labels.iter().flatten().map(|(name, value)| name.len() + value.len() + 64);
        let changes = self.managed_fields.iter().flatten().map(|_| 64);
        self.name.len() + self.resource_version.len() + labels.chain(changes).sum::<usize>()
    }

    /// When somebody last changed it: a value, or a label.
    pub(super) fn changed(&self) -> Option<SystemTime> {
        let time = |text: &String| humantime::parse_rfc3339(text).ok();
        let changes = self.managed_fields.iter().flatten().filter_map(|it| it.time.as_ref()).filter_map(time);
        changes.max().or_else(|| self.creation_timestamp.as_ref().and_then(time))
    }
}

/// A page of a listing.
#[derive(Deserialize)]
pub(super) struct Page {
    pub(super) metadata: PageMetadata,
    // An empty one may be `null`.
    items: Option<Vec<Partial>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageMetadata {
    #[serde(default)]
    pub(super) resource_version: String,
    #[serde(default, rename = "continue")]
    pub(super) next: String,
}

impl Page {
    pub(super) fn parse(call: &str, body: &[u8]) -> Result<Self, Error> {
        let page: Self = object(body).ok_or_else(|| not_understood(call))?;
        if page.metadata.resource_version.is_empty() {
            return Err(not_understood(call));
        }
        Ok(page)
    }

    pub(super) fn items(self) -> Vec<Partial> {
        self.items.unwrap_or_default()
    }
}

/// An object with its values.
pub(super) struct Whole {
    pub(super) metadata: Metadata,
    pub(super) keys: Vec<(String, Secret)>,
    /// What kubectl shows of it besides: its type, and that it cannot be changed.
    pub(super) facts: Vec<(String, String)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    metadata: Metadata,
    #[serde(borrow, rename = "type")]
    type_: Option<Cow<'a, str>>,
    immutable: Option<bool>,
    #[serde(borrow)]
    data: Option<BTreeMap<String, Cow<'a, str>>>,
    #[serde(borrow)]
    binary_data: Option<BTreeMap<String, Cow<'a, str>>>,
}

/// The object `name` in an answer. The keys of a Secret are base64; those of a ConfigMap are text, or base64 in a part
/// of their own.
pub(super) fn whole(shared: &Shared, call: &str, name: &str, body: &[u8]) -> Result<Whole, Error> {
    let written: Written<'_> = object(body).ok_or_else(|| not_understood(call))?;
    if written.kind != shared.kind() || written.metadata.name != name || written.metadata.resource_version.is_empty() {
        return Err(not_understood(call));
    }
    let mut size = 0;
    let mut keys = Vec::new();
    let mut take = |key: String, value: Secret| {
        size += value.len() as u64;
        if size > shared.max_secret_bytes {
            let text = format!("{call}: its values are larger than max_secret_bytes = {}", shared.max_secret_bytes);
            return Err(Error::new(ErrorKind::TooLarge, text));
        }
        keys.push((key, value));
        Ok(())
    };
    let is_text = written.kind == "ConfigMap";
    for (key, value) in written.data.into_iter().flatten() {
        let value = if is_text { Secret::copy_from(value.as_bytes())? } else { decoded(call, &value)? };
        take(key, value)?;
    }
    for (key, value) in written.binary_data.into_iter().flatten() {
        take(key, decoded(call, &value)?)?;
    }
    keys.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let kind = written.type_.map(|it| ("type".to_owned(), it.into_owned()));
    let fixed = written.immutable.map(|it| ("immutable".to_owned(), it.to_string()));
    Ok(Whole { metadata: written.metadata, keys, facts: kind.into_iter().chain(fixed).collect() })
}

fn decoded(call: &str, text: &str) -> Result<Secret, Error> {
    let mut bytes = Zeroizing::new(Vec::new());
    STANDARD.decode_vec(text, &mut bytes).map_err(|_| not_understood(call))?;
    Ok(Secret::from_vec(std::mem::take(&mut *bytes))?)
}
