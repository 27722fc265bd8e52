//! Addresses of servers.

use super::section::Section;
use super::text::{self, UrlError};
use crate::config::diagnostic::Diagnostic;

/// What an address without encryption is.
#[derive(Clone, Copy)]
pub enum Plaintext {
    /// Something to be warned of, but on this machine: what crosses the network.
    Warned(&'static str),
    /// An error, for this reason.
    Refused(&'static str),
}

/// `endpoint_url`: another address than the service's own.
pub fn endpoint(section: &Section<'_>) -> Option<String> {
    const EXPECTED: &str = "an address such as \"https://host:port\"";
    read(section, "endpoint_url", EXPECTED, Plaintext::Warned("values cross the network in plaintext"), true)
}

/// An address; `expected` says what it is like. None where there is none. What is wrong with it is told.
pub fn read(
    section: &Section<'_>,
    key: &'static str,
    expected: &str,
    plaintext: Plaintext,
    may_have_a_path: bool,
) -> Option<String> {
    let (text, item) = section.string(key, expected)?;
    let refuse = |expected: &str| section.refuse(key, item, expected);
    match text::parse_url(text) {
        Ok(url) => match plaintext {
            Plaintext::Refused(why) if !url.encrypted => {
                refuse(&format!("an address that starts with `https://`: {why}"));
            }
            _ if url.has_path && !may_have_a_path => refuse("an address without a path"),
            Plaintext::Warned(what) if !url.encrypted && !url.loopback => section.add(
                Diagnostic::warning(format!("{} is not encrypted", section.name(key)))
                    .at(item.place.clone())
                    .label(what)
                    .help("use https"),
            ),
            Plaintext::Warned(_) | Plaintext::Refused(_) => {}
        },
        Err(UrlError::Scheme) => match plaintext {
            Plaintext::Warned(_) => refuse("an address that starts with `https://` or `http://`"),
            Plaintext::Refused(_) => refuse("an address that starts with `https://`"),
        },
        Err(UrlError::Host) => refuse(expected),
        Err(UrlError::Port) => refuse("an address whose port is a number from 1 to 65535"),
        Err(UrlError::Credential) => refuse("an address without a user or password"),
        Err(UrlError::Rest) => refuse("an address without a query, fragment or space"),
    }
    Some(text.to_owned())
}
