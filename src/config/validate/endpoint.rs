//! `endpoint_url`: another address than the service's own.

use super::section::Section;
use super::text::{self, UrlError};
use crate::config::diagnostic::Diagnostic;

pub fn read(section: &Section<'_>) -> Option<String> {
    const EXPECTED: &str = "an address such as \"https://host:port\"";
    let (text, item) = section.string("endpoint_url", EXPECTED)?;
    let refuse = |expected: &str| section.refuse("endpoint_url", item, expected);
    match text::parse_url(text) {
        Ok(url) => {
            if !url.encrypted && !url.loopback {
                section.add(
                    Diagnostic::warning(format!("{} is not encrypted", section.name("endpoint_url")))
                        .at(item.place.clone())
                        .label("values cross the network in plaintext")
                        .help("use https"),
                );
            }
        }
        Err(UrlError::Scheme) => refuse("an address that starts with `http://` or `https://`"),
        Err(UrlError::Host) => refuse("an address with a host, such as \"https://host:port\""),
        Err(UrlError::Port) => refuse("an address whose port is a number from 1 to 65535"),
        Err(UrlError::Credential) => refuse("an address without a user or password"),
        Err(UrlError::Rest) => refuse("an address without a query, fragment or space"),
    }
    Some(text.to_owned())
}
