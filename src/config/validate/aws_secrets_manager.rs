//! A scope whose provider is `aws-secrets-manager`.

use super::section::Section;
use super::{aws, prefix};
use crate::config::settings::AwsSecretsManagerSettings;

pub fn read(section: &Section<'_>) -> AwsSecretsManagerSettings {
    const EXPECTED: &str = "the start of secrets' names, such as \"prod/\"";
    AwsSecretsManagerSettings { aws: aws::read(section), prefix: prefix::read(section, EXPECTED, |_| true, EXPECTED) }
}
