//! Label selectors as kubectl takes them: `app=db,tier!=test,zone in (a, b),!old`.

use std::collections::BTreeSet;

use kube::core::{Expression, Selector};

use crate::provider::rest::clean;
use crate::provider::{Error, ErrorKind};

pub(super) fn parse(text: &str) -> Result<Selector, Error> {
    let expressions: Option<Vec<Expression>> = requirements(text).map(expression).collect();
    let mut selector = Selector::default();
    match expressions.filter(|it| !it.is_empty()) {
        Some(expressions) => selector.extend(expressions),
        None => {
            let text = format!("labels `{}` is no label selector: write it as `kubectl get -l` takes it", clean(text));
            return Err(Error::new(ErrorKind::Malformed, text));
        }
    };
    Ok(selector)
}

/// The parts between the commas that are not in parentheses.
fn requirements(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    text.split(move |c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    })
    .map(str::trim)
}

fn expression(text: &str) -> Option<Expression> {
    if let Some(key) = text.strip_prefix('!') {
        return Some(Expression::DoesNotExist(key_of(key)?));
    }
    if let Some((key, value)) = text.split_once("!=") {
        return Some(Expression::NotEqual(key_of(key)?, value_of(value)?));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Some(Expression::Equal(key_of(key)?, value_of(value)?));
    }
    if let Some((head, list)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        let mut words = head.split_ascii_whitespace();
        let (key, operator) = (key_of(words.next()?)?, words.next()?);
        let values = list.split(',').map(value_of).collect::<Option<BTreeSet<String>>>()?;
        return match (operator, words.next()) {
            ("in", None) => Some(Expression::In(key, values)),
            ("notin", None) => Some(Expression::NotIn(key, values)),
            _ => None,
        };
    }
    Some(Expression::Exists(key_of(text)?))
}

/// `name` or `domain/name`.
fn key_of(text: &str) -> Option<String> {
    let text = text.trim();
    let (domain, name) = text.split_once('/').map_or((None, text), |(domain, name)| (Some(domain), name));
    let is_right = is_word(name) && domain.is_none_or(|domain| is_word(domain) && domain.len() <= 253);
    (is_right && name.len() <= 63).then(|| text.to_owned())
}

/// A value may be empty.
fn value_of(text: &str) -> Option<String> {
    let text = text.trim();
    (text.is_empty() || (is_word(text) && text.len() <= 63)).then(|| text.to_owned())
}

fn is_word(text: &str) -> bool {
    let possible = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.bytes().all(possible) && ends(text.bytes().next()) && ends(text.bytes().next_back())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kube::core::SelectorExt;

    use super::*;

    #[test]
    fn a_selector_means_what_kubectl_means_by_it() {
        let labels: BTreeMap<String, String> =
            [("app", "db"), ("tier", "prod"), ("example.com/zone", "")].map(|(a, b)| (a.into(), b.into())).into();
        for yes in [
            "app=db",
            "app == db , tier!=test",
            "tier in (prod, test),app",
            "tier notin (test)",
            "!old",
            "other!=x",
            "other notin (x)",
            "example.com/zone=",
        ] {
            assert!(parse(yes).unwrap().matches(&labels), "{yes}");
        }
        for no in
            ["app=x", "app!=db", "!app", "other", "tier in (test)", "tier notin (prod)", "other in (x)", "app=db,!tier"]
        {
            assert!(!parse(no).unwrap().matches(&labels), "{no}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for bad in [
            "",
            ",",
            "app=db,",
            "=x",
            "a b",
            "app in db",
            "app in (a",
            "app in x (a)",
            "a=b=c",
            "a)b",
            "app=é",
            "app>1",
        ] {
            assert_eq!(parse(bad).unwrap_err().kind, ErrorKind::Malformed, "{bad}");
        }
    }

    mod properties {
        use proptest::prelude::*;

        proptest! {
            #[test]
            fn no_text_is_a_panic_and_what_is_taken_says_the_same_when_written_out(
                text in "[a-c=!,() ./<>in-]{0,24}",
            ) {
                if let Ok(selector) = super::parse(&text) {
                    prop_assert_eq!(super::parse(&selector.to_string()).unwrap(), selector);
                }
            }
        }
    }
}
