//! What Key Vault says of a secret besides its value.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use azure_core::time::OffsetDateTime;
use azure_security_keyvault_secrets::models::SecretAttributes;

/// What is no tag of the secret's own, and is shown among the tags: under names that say so.
const CONTENT_TYPE: &str = "azure.content_type";
const EXPIRES: &str = "azure.expires";
const NOT_BEFORE: &str = "azure.not_before";

pub(super) fn time(at: Option<OffsetDateTime>) -> Option<SystemTime> {
    let seconds = at?.unix_timestamp();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    match seconds {
        0.. => SystemTime::UNIX_EPOCH.checked_add(distance),
        _ => SystemTime::UNIX_EPOCH.checked_sub(distance),
    }
}

pub(super) fn created(attributes: Option<&SecretAttributes>) -> Option<SystemTime> {
    time(attributes?.created)
}

/// The tags by name, and after them what else there is. A vault serves a secret also before and after its time:
/// that is for the reader to judge.
pub(super) fn tags(
    tags: Option<HashMap<String, String>>,
    content_type: Option<String>,
    attributes: Option<&SecretAttributes>,
) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = tags.unwrap_or_default().into_iter().collect();
    all.sort_unstable();
    let written = |at: Option<OffsetDateTime>| time(at).and_then(rfc3339);
    let more = [
        (CONTENT_TYPE, content_type.filter(|text| !text.is_empty())),
        (EXPIRES, attributes.and_then(|it| written(it.expires))),
        (NOT_BEFORE, attributes.and_then(|it| written(it.not_before))),
    ];
    for (name, text) in more {
        if let Some(text) = text
            && all.iter().all(|(known, _)| known != name)
        {
            all.push((name.to_owned(), text));
        }
    }
    all
}

/// None for what the calendar of the writer has not.
fn rfc3339(time: SystemTime) -> Option<String> {
    let last = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(253_402_300_799))?;
    (SystemTime::UNIX_EPOCH..=last).contains(&time).then(|| humantime::format_rfc3339_seconds(time).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_besides_the_value_is_among_the_tags_and_hides_none() {
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).ok();
        let attributes = SecretAttributes { expires: at(1_700_000_000), ..SecretAttributes::default() };
        let own = HashMap::from([("team".to_owned(), "a".to_owned()), (CONTENT_TYPE.to_owned(), "own".to_owned())]);
        let all = tags(Some(own), Some("text/plain".into()), Some(&attributes));
        let expected = [(CONTENT_TYPE, "own"), ("team", "a"), (EXPIRES, "2023-11-14T22:13:20Z")]
            .map(|(a, b)| (a.into(), b.into()));
        assert_eq!(all, expected);
        assert!(tags(None, Some(String::new()), None).is_empty());
    }

    #[test]
    fn no_time_is_a_panic() {
        for seconds in [-377_705_116_800, -1, 0, 253_402_300_799] {
            let time = time(OffsetDateTime::from_unix_timestamp(seconds).ok()).unwrap();
            assert_eq!(rfc3339(time).is_some(), seconds >= 0, "{seconds}");
        }
    }
}
