//! A file's value and, where its format has keys itself, those.

use std::path::Path;

use super::names::FileFormat;
use super::{dotenv, yaml};
use crate::provider::{Error, ErrorKind, Payload};
use crate::secret::Secret;

/// `file` is for messages; `max` bounds what YAML aliases may expand to.
pub fn payload(raw: Secret, format: FileFormat, max: u64, file: &Path) -> Result<Payload, Error> {
    let malformed = |line: usize, what: &str, why: &str| {
        Error::new(ErrorKind::Malformed, format!("{} line {line} is not {what}: {why}", file.display()))
    };
    let pairs = match format {
        // The tree splits JSON, because the scope's `format` has a say in it.
        FileFormat::Json | FileFormat::Bytes => None,
        FileFormat::Env => {
            Some(dotenv::parse(raw.expose()).map_err(|error| malformed(error.line, "a dotenv line", error.why))?)
        }
        FileFormat::Yaml => {
            let text = std::str::from_utf8(raw.expose()).map_err(|error| {
                let line = raw.expose()[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count() + 1;
                malformed(line, "YAML", "invalid UTF-8")
            })?;
            yaml::parse(text, usize::try_from(max).unwrap_or(usize::MAX)).map_err(|error| match error {
                yaml::YamlError::Syntax { line, why } => malformed(line, "YAML that can be served", why),
                yaml::YamlError::TooLarge => Error::new(
                    ErrorKind::TooLarge,
                    format!("{} expands to more than max_secret_bytes ({max} bytes)", file.display()),
                ),
            })?
        }
    };
    let keys = match pairs {
        None => None,
        Some(pairs) => Some(
            pairs
                .into_iter()
                .map(|(name, value)| Ok((name, Secret::from_vec(value)?)))
                .collect::<Result<Vec<_>, Error>>()?,
        ),
    };
    Ok(Payload { raw, keys })
}
