//! Texts of others, before they go into an error.

use std::error::Error as StdError;

/// The longest text taken from elsewhere, in characters.
const LONGEST: usize = 400;

/// One line of bounded length, whatever the other side sent.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect()
}

pub type Cause<'a> = &'a (dyn StdError + 'static);

/// An error, what it came from, and so on.
pub fn chain(error: Cause<'_>) -> impl Iterator<Item = Cause<'_>> {
    fn below<'a>(cause: &Cause<'a>) -> Option<Cause<'a>> {
        (*cause).source()
    }
    std::iter::successors(Some(error), below)
}

/// What each of them says, but for what another has said already: wrappers often repeat what they wrap.
pub fn reasons<'a>(causes: impl Iterator<Item = Cause<'a>>) -> String {
    let mut texts: Vec<String> = Vec::new();
    for cause in causes {
        let text = cause.to_string();
        if !texts.iter().any(|known| known.contains(&text)) {
            texts.push(text);
        }
    }
    clean(&texts.join(": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_cannot_fill_the_log() {
        let text = clean(&"long\r\n\u{1b}[31m".repeat(10_000));
        assert!(text.chars().count() == LONGEST && !text.contains(['\r', '\n', '\u{1b}']), "{text}");
    }
}
