//! A scope whose provider is `aws-secrets-manager`.

use super::aws;
use super::section::Section;
use crate::config::settings::AwsSecretsManagerSettings;
use crate::config::written::Value;

pub fn read(section: &Section<'_>) -> AwsSecretsManagerSettings {
    AwsSecretsManagerSettings { aws: aws::read(section), prefix: prefix(section) }
}

/// The only text that may be empty: it means what leaving it out means.
fn prefix(section: &Section<'_>) -> String {
    match section.get("prefix").map(|item| &item.value) {
        Some(Value::String(text)) if text.is_empty() => String::new(),
        _ => section
            .string("prefix", "the start of secrets' names, such as \"prod/\"")
            .map_or_else(String::new, |(text, _)| text.to_owned()),
    }
}
