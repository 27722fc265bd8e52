//! Dotenv files, without the substitution of variables that the usual libraries do: a value is what the
//! file says, never what the daemon's environment adds.
//!
//! `NAME=value`, `export NAME=value`, `# comments`. Unquoted values end at the line or at ` #` and are
//! trimmed. `'…'` is literal, `"…"` knows `\n \r \t \" \\ \$ \``; both may span lines. After a quoted part
//! the value goes on as a shell word does (`'it'\''s'`). The last of two equal names wins.

/// A line that is no dotenv, counted from 1. Never its text.
#[derive(Debug, PartialEq, Eq)]
pub struct SyntaxError {
    pub line: usize,
    pub why: &'static str,
}

/// Names and values in the file's order.
pub fn parse(text: &[u8]) -> Result<Vec<(String, Vec<u8>)>, SyntaxError> {
    let mut cursor = Cursor { rest: text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text), line: 1 };
    let mut entries: Vec<(String, Vec<u8>)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    while cursor.next_statement() {
        let (name, value) = statement(&mut cursor)?;
        match places.get(&name) {
            Some(&place) => {
                let entry: &mut (String, Vec<u8>) = &mut entries[place];
                entry.1 = value;
            }
            None => {
                places.insert(name.clone(), entries.len());
                entries.push((name, value));
            }
        }
    }
    Ok(entries)
}

struct Cursor<'a> {
    rest: &'a [u8],
    line: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn take(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        self.line += usize::from(byte == b'\n');
        Some(byte)
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> Vec<u8> {
        let mut taken = Vec::new();
        while let Some(byte) = self.peek().filter(|&byte| wanted(byte)) {
            taken.push(byte);
            self.take();
        }
        taken
    }

    fn blanks(&mut self) -> usize {
        self.take_while(is_blank).len()
    }

    /// Goes to the next line that says something.
    fn next_statement(&mut self) -> bool {
        loop {
            self.take_while(|byte| byte.is_ascii_whitespace());
            if self.peek() != Some(b'#') {
                return self.peek().is_some();
            }
            self.take_while(|byte| byte != b'\n');
        }
    }

    fn error(&self, why: &'static str) -> SyntaxError {
        SyntaxError { line: self.line, why }
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

fn statement(cursor: &mut Cursor<'_>) -> Result<(String, Vec<u8>), SyntaxError> {
    let mut name = variable_name(cursor)?;
    let blanks = cursor.blanks();
    if name == "export" && blanks > 0 && cursor.peek() != Some(b'=') {
        name = variable_name(cursor)?;
        cursor.blanks();
    }
    if cursor.peek() != Some(b'=') {
        return Err(cursor.error("expected `=` after the name"));
    }
    cursor.take();
    // A blank before `#` makes a comment, one before a value does not belong to it.
    let blanks = cursor.blanks();
    let value = match cursor.peek() {
        Some(b'\'' | b'"') => word(cursor)?,
        Some(b'#') if blanks > 0 => Vec::new(),
        _ => unquoted(cursor),
    };
    cursor.blanks();
    match cursor.peek() {
        None | Some(b'\n') => Ok((name, value)),
        Some(b'#') => {
            cursor.take_while(|byte| byte != b'\n');
            Ok((name, value))
        }
        Some(_) => Err(cursor.error("expected the end of the line after the value")),
    }
}

fn variable_name(cursor: &mut Cursor<'_>) -> Result<String, SyntaxError> {
    let name = cursor.take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
    match String::from_utf8(name) {
        Ok(name) if !name.is_empty() => Ok(name),
        _ => Err(cursor.error("expected a name of letters, digits, `_`, `.` or `-`")),
    }
}

fn unquoted(cursor: &mut Cursor<'_>) -> Vec<u8> {
    let mut value = Vec::new();
    while let Some(byte) = cursor.peek().filter(|&byte| byte != b'\n') {
        if byte == b'#' && value.last().is_some_and(|&last| is_blank(last)) {
            break;
        }
        value.push(byte);
        cursor.take();
    }
    value.truncate(value.trim_ascii_end().len());
    value
}

/// A value that begins with a quote: quoted and unquoted parts up to a blank.
fn word(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, SyntaxError> {
    let mut value = Vec::new();
    while let Some(byte) = cursor.peek().filter(|&byte| !is_blank(byte) && byte != b'\n') {
        let opened = cursor.line;
        cursor.take();
        match byte {
            b'\'' => {
                value.extend(cursor.take_while(|byte| byte != b'\''));
                close(cursor, opened)?;
            }
            b'"' => {
                double_quoted(cursor, &mut value);
                close(cursor, opened)?;
            }
            b'\\' => match cursor.take() {
                Some(escaped) if escaped != b'\n' => value.push(escaped),
                _ => return Err(SyntaxError { line: opened, why: "nothing after `\\`" }),
            },
            other => value.push(other),
        }
    }
    Ok(value)
}

fn double_quoted(cursor: &mut Cursor<'_>, value: &mut Vec<u8>) {
    while let Some(byte) = cursor.peek().filter(|&byte| byte != b'"') {
        cursor.take();
        if byte != b'\\' {
            value.push(byte);
            continue;
        }
        match cursor.take() {
            Some(b'n') => value.push(b'\n'),
            Some(b'r') => value.push(b'\r'),
            Some(b't') => value.push(b'\t'),
            Some(escaped @ (b'"' | b'\\' | b'$' | b'`')) => value.push(escaped),
            Some(other) => value.extend([b'\\', other]),
            None => value.push(b'\\'),
        }
    }
}

fn close(cursor: &mut Cursor<'_>, opened: usize) -> Result<(), SyntaxError> {
    match cursor.take() {
        Some(_) => Ok(()),
        None => Err(SyntaxError { line: opened, why: "a quote that is never closed" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let entries = parse(text.as_bytes()).unwrap();
        entries.into_iter().map(|(name, value)| (name, String::from_utf8(value).unwrap())).collect()
    }

    fn one(text: &str) -> String {
        pairs(text).into_iter().next().unwrap().1
    }

    #[test]
    fn plain_values_are_trimmed_and_comments_dropped() {
        assert_eq!(one("A=b"), "b");
        assert_eq!(one("A = b c  # note\n"), "b c");
        assert_eq!(one("A=b#c"), "b#c");
        assert_eq!(one("A=#c"), "#c");
        assert_eq!(one("A= # c"), "");
        assert_eq!(one("A="), "");
        assert_eq!(one("export A=b\r\n"), "b");
        assert_eq!(one("export=b"), "b");
        assert_eq!(one("A=C:\\dir"), "C:\\dir");
        assert_eq!(one("A=it's"), "it's");
    }

    #[test]
    fn quotes_keep_everything() {
        assert_eq!(one("A='a # b'"), "a # b");
        assert_eq!(one("A=' a\n b '"), " a\n b ");
        assert_eq!(one(r#"A="a\nb\t\"c\"\\ \$X \` \q""#), "a\nb\t\"c\"\\ $X ` \\q");
        assert_eq!(one(r#"A='\n$X'"#), r"\n$X");
        assert_eq!(one(r"A='it'\''s' # note"), "it's");
        assert_eq!(one("A=\"a\nb\""), "a\nb");
        assert_eq!(one("A=''"), "");
    }

    #[test]
    fn variables_are_never_substituted() {
        assert_eq!(one("A=$HOME ${HOME}"), "$HOME ${HOME}");
        assert_eq!(one("A=\"$HOME `id`\""), "$HOME `id`");
    }

    #[test]
    fn the_last_of_two_equal_names_wins() {
        assert_eq!(pairs("A=1\nB=2\nA=3"), [("A".into(), "3".into()), ("B".into(), "2".into())]);
    }

    #[test]
    fn bytes_that_are_not_text_are_kept() {
        assert_eq!(parse(b"A='\xff\x00'").unwrap(), [("A".to_owned(), b"\xff\x00".to_vec())]);
    }

    #[test]
    fn errors_name_the_line() {
        let line = |text: &str| parse(text.as_bytes()).unwrap_err().line;
        assert_eq!(line("A=1\nnonsense\n"), 2);
        assert_eq!(line("A=1\n\n# c\n=x"), 4);
        assert_eq!(line("A=1\nB='x\ny\n"), 2);
        assert_eq!(line("A=\"x\ny\" z"), 2);
        assert_eq!(line("A='x'\\"), 1);
        assert_eq!(line("é=1"), 1);
    }

    mod properties {
        use super::*;

        proptest::proptest! {
            #[test]
            fn no_input_makes_it_panic(text in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
                let _ = parse(&text);
            }

            #[test]
            fn shell_quoting_reads_back(value in "[^\0]*") {
                let text = format!("A='{}'\n", value.replace('\'', r"'\''"));
                proptest::prop_assert_eq!(one(&text), value);
            }
        }
    }
}
