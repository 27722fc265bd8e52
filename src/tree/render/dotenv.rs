//! `.env`: lines that a POSIX shell, systemd's `EnvironmentFile=`, python-dotenv and node's dotenv all read
//! back to the same bytes, as far as there is such a line.

use std::io::{self, Write};

use crate::secret::{Secret, SecretWriter};
use crate::tree::keys::{Key, Keys};

/// One `NAME='value'` per key, in the order of the keys' files.
///
/// A value that has no spelling that all four readers take alike is spelled as a shell and systemd do and
/// comes after all others, with a comment: a reader that misreads it then loses no other key. What no
/// environment variable can be is left out, with a comment.
pub fn env(keys: &Keys) -> io::Result<Secret> {
    let mut out = SecretWriter::with_capacity(keys.total_len())?;
    let mut unportable = Vec::new();
    for key in keys {
        match text(key) {
            Err(reason) => writeln!(out, "# {:?} is left out: {reason}", key.name)?,
            Ok(text) => match obstacle(&key.name, text) {
                None => assign(&mut out, &key.name, text)?,
                Some(obstacle) => unportable.push((key, text, obstacle)),
            },
        }
    }
    for (key, text, obstacle) in unportable {
        writeln!(out, "# The next line is for shells and systemd only: {obstacle}")?;
        assign(&mut out, &key.name, text)?;
    }
    Ok(out.finish())
}

/// The value, if it and its name fit an environment variable that a shell lets a file set.
fn text(key: &Key) -> Result<&str, &'static str> {
    if !is_shell_name(&key.name) {
        Err("not a name of a shell variable")
    } else if SHELLS_OWN.contains(&key.name.as_str()) {
        Err("shells keep this variable to themselves")
    } else if key.value.expose().contains(&0) {
        Err("its value has a NUL byte")
    } else {
        std::str::from_utf8(key.value.expose()).map_err(|_| "its value is not UTF-8")
    }
}

/// Variables that dash or bash refuse, compute or evaluate: an assignment would end the script that reads
/// the file, be lost, or (`RANDOM='a[$(…)]'` in bash) run what the value says.
const SHELLS_OWN: &[&str] = &[
    "BASHOPTS",
    "BASHPID",
    "BASH_ARGC",
    "BASH_ARGV",
    "BASH_COMMAND",
    "BASH_LINENO",
    "BASH_SOURCE",
    "BASH_SUBSHELL",
    "BASH_VERSINFO",
    "DIRSTACK",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "FUNCNAME",
    "GROUPS",
    "HISTCMD",
    "LINENO",
    "OPTIND",
    "PIPESTATUS",
    "PPID",
    "RANDOM",
    "SECONDS",
    "SHELLOPTS",
    "SRANDOM",
    "UID",
    "_",
];

fn is_shell_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Why the dotenv readers would not read `value` back as a shell and systemd do.
fn obstacle(name: &str, value: &str) -> Option<&'static str> {
    if name == "__proto__" {
        Some("node's dotenv cannot hold this name")
    } else if value.contains('\r') {
        Some("dotenv readers turn a carriage return into a newline")
    } else if value.contains("${") {
        Some("python-dotenv expands ${...} even in single quotes")
    } else if !value.contains('\'') {
        (value.contains(r"\\") || value.ends_with('\\')).then_some("python-dotenv unescapes its backslashes")
    } else {
        value.contains(NEEDS_ESCAPE).then_some("dotenv readers disagree on escapes in double quotes")
    }
}

/// What a backslash escapes in double quotes, for POSIX shells and for systemd alike.
const NEEDS_ESCAPE: [char; 4] = ['"', '\\', '`', '$'];

fn assign(out: &mut SecretWriter, name: &str, value: &str) -> io::Result<()> {
    out.push(name.as_bytes())?;
    if !value.contains('\'') {
        for piece in ["='", value, "'\n"] {
            out.push(piece.as_bytes())?;
        }
        return Ok(());
    }
    out.push(b"=\"")?;
    for piece in value.split_inclusive(NEEDS_ESCAPE) {
        match piece.char_indices().next_back() {
            Some((at, last)) if NEEDS_ESCAPE.contains(&last) => {
                out.push(&piece.as_bytes()[..at])?;
                out.push(&[b'\\', last as u8])?;
            }
            _ => out.push(piece.as_bytes())?,
        }
    }
    out.push(b"\"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Format;
    use crate::tree::keys::split;

    fn rendered(pairs: &[(&str, &[u8])]) -> String {
        let native = pairs.iter().map(|(name, value)| (name.to_string(), Secret::copy_from(value).unwrap())).collect();
        let keys = split(&Secret::copy_from(b"").unwrap(), Some(native), Format::Auto).unwrap();
        String::from_utf8(env(&keys).unwrap().expose().to_vec()).unwrap()
    }

    #[test]
    fn ordinary_values_are_in_single_quotes() {
        assert_eq!(
            rendered(&[("PW", br#"a $b "c" `d` \n # e"#), ("EMPTY", b""), ("PEM", b"one\ntwo\n")]),
            "EMPTY=''\nPEM='one\ntwo\n'\nPW='a $b \"c\" `d` \\n # e'\n"
        );
    }

    #[test]
    fn an_apostrophe_takes_double_quotes() {
        assert_eq!(rendered(&[("PW", b"it's 100% # fine")]), "PW=\"it's 100% # fine\"\n");
    }

    #[test]
    fn what_readers_disagree_on_comes_last_with_a_comment() {
        for (value, spelled) in [
            (r#"it's "$HOME""#, r#""it's \"\$HOME\"""#),
            (r"'`\", r#""'\`\\""#),
            (r"C:\", r"'C:\'"),
            (r"\\host", r"'\\host'"),
            ("${HOME}", "'${HOME}'"),
            ("a\r\nb", "'a\r\nb'"),
        ] {
            let text = rendered(&[("A", value.as_bytes()), ("B", b"b")]);
            let rest = text.strip_prefix("B='b'\n# The next line is for shells and systemd only: ").unwrap();
            assert_eq!(rest.split_once('\n').unwrap().1, format!("A={spelled}\n"));
        }
    }

    #[test]
    fn what_no_variable_can_be_is_named_in_a_comment_of_one_line() {
        let names = ["", "a-b", "1A", "db.host", "caf\u{e9}", "a\nEVIL=1", "a\u{2028}EVIL=1\u{85}", "end\\", "UID"];
        let mut pairs: Vec<(&str, &[u8])> = names.iter().map(|name| (*name, &b"hunter2"[..])).collect();
        pairs.extend([("NUL", &b"hunter2\0"[..]), ("BINARY", b"hunter2\xff"), ("GOOD", b"good")]);
        let text = rendered(&pairs);
        assert!(!text.contains("hunter2"));
        // No reader may see a second line, or a continued one, in a comment.
        let lines: Vec<&str> = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).collect();
        assert!(
            lines
                .iter()
                .all(|line| line.starts_with("# ") && !line.ends_with('\\') || matches!(*line, "GOOD='good'" | ""))
        );
        assert_eq!(lines.len(), names.len() + 3);
        assert!(text.contains(r#"# "a\nEVIL=1" is left out: "#));
    }
}
