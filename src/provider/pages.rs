//! An end to listings that have none.
//!
//! A service tells the end of a listing itself. One that is broken, or hostile, may never do so: its pages repeat, or
//! go on with ever new names until the memory is full.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use super::{Error, ErrorKind};

/// More pages than the largest listing that a service here can have, empty ones among them.
const MOST: usize = 20_000;
/// The most text that a listing is taken to have, in bytes: names, tags and what else is kept of its entries.
const MOST_TEXT: u64 = 512 << 20;
/// What an entry takes besides its text.
const ENTRY: u64 = 64;

/// The pages of one listing so far.
pub struct Pages {
    call: String,
    /// Digests of the tokens that led from one page to the next.
    tokens: HashSet<u64>,
    digests: RandomState,
    count: usize,
    text: u64,
}

impl Pages {
    /// `call` names the listing in errors, such as `ListSecrets`.
    pub fn of(call: impl Into<String>) -> Self {
        Self { call: call.into(), tokens: HashSet::new(), digests: RandomState::new(), count: 0, text: 0 }
    }

    /// Takes note of an entry with so many bytes of text.
    ///
    /// # Errors
    /// [`Malformed`](ErrorKind::Malformed) where there are more than can be.
    pub fn entry(&mut self, text: usize) -> Result<(), Error> {
        self.text = self.text.saturating_add(ENTRY).saturating_add(text as u64);
        if self.text > MOST_TEXT { Err(self.endless("its entries fill the memory")) } else { Ok(()) }
    }

    #[cfg_attr(
        not(any(feature = "aws", feature = "gcp", feature = "kubernetes")),
        allow(dead_code, reason = "Vault has folders instead")
    )]
    /// Takes note of the end of a page, and of the token that the next one is asked for by: none or an empty one is
    /// the end.
    ///
    /// # Errors
    /// [`Malformed`](ErrorKind::Malformed) where that page was there already, or there are more than can be.
    pub fn turn(&mut self, next: Option<&str>) -> Result<(), Error> {
        let Some(next) = next.filter(|token| !token.is_empty()) else { return Ok(()) };
        self.count += 1;
        if !self.tokens.insert(self.digests.hash_one(next)) {
            return Err(self.endless("its pages repeat"));
        }
        if self.count >= MOST { Err(self.endless("its pages are too many")) } else { Ok(()) }
    }

    /// That it does not end, and why it is taken not to.
    pub fn endless(&self, why: &str) -> Error {
        Error::new(ErrorKind::Malformed, format!("{}: the listing does not end: {why}", self.call))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_that_comes_back_to_a_page_does_not_end() {
        let mut pages = Pages::of("ListSecrets");
        for token in ["a", "b", "c"] {
            pages.turn(Some(token)).unwrap();
        }
        for end in [None, Some("")] {
            pages.turn(end).unwrap();
        }
        let error = pages.turn(Some("a")).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Malformed);
        assert!(error.detail.contains("ListSecrets") && error.detail.contains("repeat"), "{error}");
    }

    #[test]
    fn a_listing_with_ever_new_pages_or_names_ends() {
        let mut pages = Pages::of("c");
        assert!((0..2 * MOST).any(|number| pages.turn(Some(&number.to_string())).is_err()));
        let mut pages = Pages::of("c");
        // The most secrets that an account of AWS can have in a region, with names of the greatest length.
        assert!((0..500_000).all(|_| pages.entry(512).is_ok()));
        assert!((0..1_000_000).any(|_| pages.entry(1024).is_err()));
        assert!(pages.entry(usize::MAX).is_err());
    }
}
