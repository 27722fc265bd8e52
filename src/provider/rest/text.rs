//! Texts of others, before they go into an error.

use std::error::Error as StdError;

/// The longest text taken from elsewhere, in characters.
const LONGEST: usize = 400;

/// One line of bounded length, whatever the other side sent.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect()
}

/// The reasons down an error's chain.
pub fn reasons(error: &(dyn StdError + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        let text = error.to_string();
        // Wrappers often repeat what they wrap.
        if !texts.iter().any(|known| known.contains(&text)) {
            texts.push(text);
        }
        cause = error.source();
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
