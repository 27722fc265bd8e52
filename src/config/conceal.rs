//! Lines that a report must not show, since they look as if someone had put a credential into them.
//!
//! No setting takes a credential, so such a line is always a mistake, and a report ends up in journals
//! and tickets. Hiding a harmless line costs nothing but a look into the file, so in doubt it is hidden.

/// Our own names that sound like credentials and are not.
const HARMLESS: &[&str] = &[
    "max_secret_bytes",
    "aws-secrets-manager",
    "gcp-secret-manager",
    "access-token",
    "token_file",
    "secret_id_file",
    "client_secret_file",
];

/// Parts of a setting's name that say that its value is a credential.
const TELLING: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "accesskey",
    "apikey",
    "privatekey",
    "credential",
    "bearer",
    "cookie",
    "signature",
];

/// Whole words that say the same wherever on the line they stand.
const TELLING_WORDS: &[&str] = &["password", "passwd", "passphrase", "secret", "token", "bearer"];

/// Does a setting of this name ask to be a credential?
pub fn is_credential_name(name: &str) -> bool {
    let name: String = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    TELLING.iter().any(|part| name.contains(part))
}

/// Must the line that starts at `start` stay out of a report?
pub fn must_hide(text: &str, start: usize) -> bool {
    let before = text.get(..start).unwrap_or_default();
    let rest = text.get(start..).unwrap_or_default();
    let line = rest.split('\n').next().unwrap_or_default();
    if tells(line) {
        return true;
    }
    // A line inside of a multi-line string belongs to the setting that the string began in.
    if begins_something(line) {
        return false;
    }
    before.lines().rev().take(1_000).find(|line| begins_something(line)).is_some_and(tells)
}

/// Is this line a table's header or the start of a setting?
fn begins_something(line: &str) -> bool {
    let line = line.trim_start();
    let name_end = line.find(|c: char| !(c.is_ascii_alphanumeric() || "_-.\"' ".contains(c)));
    line.starts_with('[') || name_end.is_some_and(|end| end > 0 && line.as_bytes().get(end) == Some(&b'='))
}

fn tells(line: &str) -> bool {
    holds_key_material(line) || says_a_telling_word(line) || names_a_credential(line)
}

/// The text before each `=`, back to what ended the setting before it.
fn names_a_credential(line: &str) -> bool {
    let mut pieces: Vec<&str> = line.split('=').collect();
    if pieces.len() > 1 {
        pieces.pop();
    }
    pieces.iter().any(|piece| {
        let name = piece.rsplit(['{', ',']).next().unwrap_or_default().trim_matches([' ', '\t', '"', '\'']);
        !HARMLESS.iter().any(|harmless| name.ends_with(harmless)) && is_credential_name(name)
    })
}

fn says_a_telling_word(line: &str) -> bool {
    line.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'))
        .filter(|word| !HARMLESS.contains(word))
        .any(|word| TELLING_WORDS.iter().any(|telling| word.eq_ignore_ascii_case(telling)))
}

/// Key material by its own marks: age and PEM keys, AWS access keys, a password in a URL.
pub fn holds_key_material(line: &str) -> bool {
    let upper = line.to_ascii_uppercase();
    let access_key = ["AKIA", "ASIA"].iter().any(|mark| {
        upper.match_indices(mark).any(|(at, _)| {
            upper.get(at..).unwrap_or_default().chars().take_while(char::is_ascii_alphanumeric).count() >= 20
        })
    });
    let in_url = upper.match_indices("://").any(|(at, _)| {
        let rest = upper.get(at + 3..).unwrap_or_default();
        rest.split(['/', '"', '\'', ' ']).next().is_some_and(|authority| authority.contains('@'))
    });
    upper.contains("AGE-SECRET-KEY") || upper.contains("-----BEGIN") || access_key || in_url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hides(line: &str) -> bool {
        must_hide(line, 0)
    }

    #[test]
    fn lines_that_name_or_hold_a_credential_are_hidden() {
        for line in [
            "password = \"x\"",
            "password: x",
            "client-secret = \"x\"",
            "secretAccessKey = 'x'",
            "aws.secret_access_key = 'x'",
            "x = { provider = \"local\", api-key = \"x\" }",
            "identity = \"AGE-SECRET-KEY-1QQQ\"",
            "region = \"AKIAIOSFODNN7EXAMPLE\"",
            "endpoint_url = \"http://me:x@host/\"",
            "region = \"eu\" token x",
            "\"db password\" = 1",
        ] {
            assert!(hides(line), "{line}");
        }
    }

    #[test]
    fn our_own_settings_are_shown() {
        for line in [
            "mountpoint = \"/secrets\"",
            "max_secret_bytes = 12",
            "cache.max_secret_bytes = 12",
            "provider = \"aws-secrets-manager\"",
            "[scopes.prod]",
            "endpoint_url = \"http://127.0.0.1:5000\"",
            "identity = \"/etc/hushfs/dev.key\"",
            "auth = { method = \"access-token\", token_file = \"/t\" }",
            "auth = { method = \"approle\", role_id_file = \"/r\", secret_id_file = \"/s\" }",
            "auth = { method = \"jwt\", token_file = \"/t\" }",
            "auth = { method = \"pat\", token_file = \"/t\" }",
            "auth = { method = \"oauth-m2m\", client_id = \"i\", client_secret_file = \"/s\" }",
            "auth = { method = \"client-secret\", tenant_id = \"t\", client_id = \"i\", client_secret_file = \"/s\" }",
            "tll = \"5m\"",
        ] {
            assert!(!hides(line), "{line}");
        }
    }

    #[test]
    fn a_later_line_of_a_credentials_multi_line_string_is_hidden() {
        let text = "password = \"\"\"\nabc\n\\q\n";
        assert!(must_hide(text, 15));
        assert!(must_hide(text, 19));
        assert!(!must_hide("region = \"\"\"\nabc\n", 13));
    }
}
