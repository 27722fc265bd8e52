//! A scope whose provider is `aws-parameter-store`.

use super::section::Section;
use super::{aws, text};
use crate::config::settings::AwsParameterStoreSettings;

pub fn read(section: &Section<'_>) -> AwsParameterStoreSettings {
    AwsParameterStoreSettings { aws: aws::read(section), path: path(section).unwrap_or_else(|| "/".to_owned()) }
}

fn path(section: &Section<'_>) -> Option<String> {
    const EXPECTED: &str = "a path that starts and ends with `/`, such as \"/app/prod/\", of letters, digits and `_.-`";
    let (text, item) = section.string("path", EXPECTED)?;
    if !text::is_parameter_path(text) {
        section.refuse("path", item, EXPECTED);
    }
    Some(text.to_owned())
}
