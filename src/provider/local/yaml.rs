//! YAML mappings as keys. The parser's events are used rather than a document type, because a value must
//! come out exactly as written: `1.10` stays `1.10`, `0o14` stays `0o14`, `yes` stays `yes`.
//!
//! Bounded: nesting by `DEEPEST`, aliases included; what aliases and merge keys (`<<`) expand to, by `max`.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

const DEEPEST: usize = 64;

/// Why a document cannot be used. Never its text.
#[derive(Debug, PartialEq, Eq)]
pub enum YamlError {
    /// The line, counted from 1.
    Syntax { line: usize, why: &'static str },
    /// Expands to more than `max` bytes.
    TooLarge,
}

/// Names and values, in the document's order.
pub type Fields = Vec<(String, Vec<u8>)>;

/// The top-level mapping's keys: strings as their bytes, other scalars as written, null as nothing,
/// sequences and mappings as compact JSON. None where the document is not a mapping.
pub fn parse(text: &str, max: usize) -> Result<Option<Fields>, YamlError> {
    let Some(root) = build(text, max)? else { return Ok(None) };
    let Node::Map(entries) = &root.node else { return Ok(None) };
    let mut left = max;
    let mut keys = Vec::with_capacity(entries.len());
    for (name, value) in entries {
        let bytes = render(value, left)?;
        left -= bytes.len();
        keys.push((name.clone(), bytes));
    }
    Ok(Some(keys))
}

enum Node {
    /// A string whatever it looks like: quoted, a block, or tagged `!!str`.
    Text(String),
    /// A plain scalar, whose looks say its type.
    Plain(String),
    /// `!!binary`: as written and decoded.
    Binary(String, Vec<u8>),
    Sequence(Vec<Rc<Tree>>),
    Map(Vec<(String, Rc<Tree>)>),
}

/// A node and how deep it goes. Shared by its aliases, so an alias costs nothing until it is written out.
struct Tree {
    node: Node,
    height: usize,
}

enum Frame {
    Sequence { anchor: usize, items: Vec<Rc<Tree>> },
    Map { anchor: usize, entries: Vec<(String, Rc<Tree>)>, names: HashSet<String>, merged: Vec<Rc<Tree>>, key: Key },
}

enum Key {
    Awaited,
    Name(String),
    Merge,
}

fn build(text: &str, max: usize) -> Result<Option<Rc<Tree>>, YamlError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser::new_from_str(text);
    let mut builder = Builder { stack: Vec::new(), anchors: HashMap::new(), root: None, line: 1, merges_left: max };
    while let Some(event) = parser.next_event() {
        let (event, span) =
            event.map_err(|error| YamlError::Syntax { line: error.marker().line(), why: "not YAML" })?;
        builder.line = span.start.line();
        builder.event(event)?;
    }
    Ok(builder.root)
}

struct Builder {
    stack: Vec<Frame>,
    anchors: HashMap<usize, Rc<Tree>>,
    root: Option<Rc<Tree>>,
    line: usize,
    /// How many more entries merge keys may add.
    merges_left: usize,
}

impl Builder {
    fn error<T>(&self, why: &'static str) -> Result<T, YamlError> {
        Err(YamlError::Syntax { line: self.line, why })
    }

    fn event(&mut self, event: Event<'_>) -> Result<(), YamlError> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) if self.root.is_some() => self.error("a second document; one is expected"),
            Event::DocumentStart(_) => Ok(()),
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(tree) => self.attach(tree),
                None => self.error("an alias inside what it stands for"),
            },
            Event::Scalar(text, style, anchor, tag) => {
                let Some(node) = scalar(text.into_owned(), style, tag.as_deref()) else {
                    return self.error("`!!binary` that is not base64");
                };
                self.complete(node, 0, anchor)
            }
            Event::SequenceStart(anchor, _) => self.push(Frame::Sequence { anchor, items: Vec::new() }),
            Event::MappingStart(anchor, _) => self.push(Frame::Map {
                anchor,
                entries: Vec::new(),
                names: HashSet::new(),
                merged: Vec::new(),
                key: Key::Awaited,
            }),
            Event::SequenceEnd | Event::MappingEnd => match self.stack.pop() {
                Some(Frame::Sequence { anchor, items }) => {
                    let height = items.iter().map(|item| item.height + 1).max().unwrap_or(1);
                    self.complete(Node::Sequence(items), height, anchor)
                }
                Some(Frame::Map { anchor, mut entries, mut names, merged, .. }) => {
                    for tree in merged {
                        self.merge(&tree, &mut entries, &mut names)?;
                    }
                    let height = entries.iter().map(|(_, value)| value.height + 1).max().unwrap_or(1);
                    self.complete(Node::Map(entries), height, anchor)
                }
                None => self.error("an end without a beginning"),
            },
        }
    }

    fn push(&mut self, frame: Frame) -> Result<(), YamlError> {
        if self.stack.len() >= DEEPEST {
            return self.error("nested too deeply");
        }
        self.stack.push(frame);
        Ok(())
    }

    fn complete(&mut self, node: Node, height: usize, anchor: usize) -> Result<(), YamlError> {
        // Aliases stack their heights without nesting in the text, and everything that walks a tree recurses.
        if height > DEEPEST {
            return self.error("nested too deeply");
        }
        let tree = Rc::new(Tree { node, height });
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&tree));
        }
        self.attach(tree)
    }

    fn attach(&mut self, tree: Rc<Tree>) -> Result<(), YamlError> {
        let line = self.line;
        let error = |why| Err(YamlError::Syntax { line, why });
        match self.stack.last_mut() {
            None => self.root = Some(tree),
            Some(Frame::Sequence { items, .. }) => items.push(tree),
            Some(Frame::Map { entries, names, merged, key, .. }) => match std::mem::replace(key, Key::Awaited) {
                Key::Merge => merged.push(tree),
                Key::Name(name) => entries.push((name, tree)),
                Key::Awaited => match &tree.node {
                    Node::Plain(text) if text == "<<" => *key = Key::Merge,
                    Node::Text(text) | Node::Plain(text) => {
                        if !names.insert(text.clone()) {
                            return error("a key that was already given");
                        }
                        *key = Key::Name(text.clone());
                    }
                    Node::Binary(..) | Node::Sequence(_) | Node::Map(_) => return error("a key that is not text"),
                },
            },
        }
        Ok(())
    }

    /// `<<`: entries of another mapping, or of several, that are not there yet.
    fn merge(
        &mut self,
        tree: &Rc<Tree>,
        entries: &mut Vec<(String, Rc<Tree>)>,
        names: &mut HashSet<String>,
    ) -> Result<(), YamlError> {
        match &tree.node {
            Node::Map(others) => {
                self.merges_left = self.merges_left.checked_sub(others.len() + 1).ok_or(YamlError::TooLarge)?;
                for (name, value) in others {
                    if names.insert(name.clone()) {
                        entries.push((name.clone(), Rc::clone(value)));
                    }
                }
                Ok(())
            }
            Node::Sequence(items) if items.iter().all(|item| matches!(item.node, Node::Map(_))) => {
                items.iter().try_for_each(|item| self.merge(item, entries, names))
            }
            _ => self.error("`<<` needs a mapping or a sequence of mappings"),
        }
    }
}

fn scalar(text: String, style: ScalarStyle, tag: Option<&Tag>) -> Option<Node> {
    let core = tag.filter(|tag| tag.is_yaml_core_schema()).map(|tag| tag.suffix.as_str());
    let verbatim = tag.is_some_and(|tag| tag.handle.is_empty() && tag.suffix == "!");
    Some(match core {
        Some("binary") => {
            let packed: String = text.split_ascii_whitespace().collect();
            let bytes = STANDARD.decode(&packed).ok()?;
            Node::Binary(packed, bytes)
        }
        Some("str") => Node::Text(text),
        _ if style == ScalarStyle::Plain && !verbatim => Node::Plain(text),
        _ => Node::Text(text),
    })
}

/// A top-level value's bytes.
fn render(tree: &Tree, max: usize) -> Result<Vec<u8>, YamlError> {
    let bytes = match &tree.node {
        Node::Plain(text) if is_null(text) => Vec::new(),
        Node::Plain(text) | Node::Text(text) => text.clone().into_bytes(),
        Node::Binary(_, bytes) => bytes.clone(),
        Node::Sequence(_) | Node::Map(_) => {
            let mut json = Vec::new();
            write_json(tree, &mut json, max)?;
            json
        }
    };
    if bytes.len() > max { Err(YamlError::TooLarge) } else { Ok(bytes) }
}

fn write_json(tree: &Tree, json: &mut Vec<u8>, max: usize) -> Result<(), YamlError> {
    match &tree.node {
        Node::Plain(text) if is_null(text) => json.extend(b"null"),
        Node::Plain(text) => match text.as_str() {
            "true" | "True" | "TRUE" => json.extend(b"true"),
            "false" | "False" | "FALSE" => json.extend(b"false"),
            // What JSON has no notation for (0x1F, .inf, 007) stays what was written, as a string.
            _ if is_json_number(text) => json.extend(text.as_bytes()),
            _ => write_string(text, json),
        },
        Node::Text(text) | Node::Binary(text, _) => write_string(text, json),
        Node::Sequence(items) => {
            json.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    json.push(b',');
                }
                write_json(item, json, max)?;
            }
            json.push(b']');
        }
        Node::Map(entries) => {
            json.push(b'{');
            for (i, (name, value)) in entries.iter().enumerate() {
                if i > 0 {
                    json.push(b',');
                }
                write_string(name, json);
                json.push(b':');
                write_json(value, json, max)?;
            }
            json.push(b'}');
        }
    }
    if json.len() > max { Err(YamlError::TooLarge) } else { Ok(()) }
}

fn write_string(text: &str, json: &mut Vec<u8>) {
    // Writing text into a Vec cannot fail; if it did, the JSON would be cut short and not mistaken.
    let _ = serde_json::to_writer(json, text);
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

fn is_json_number(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && text.ends_with(|c: char| c.is_ascii_digit())
        && serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 1 << 20;

    fn keys(text: &str) -> Vec<(String, String)> {
        let keys = parse(text, MAX).unwrap().expect("a mapping");
        keys.into_iter().map(|(name, value)| (name, String::from_utf8(value).unwrap())).collect()
    }

    fn one(text: &str) -> String {
        keys(text).remove(0).1
    }

    #[test]
    fn scalars_come_out_exactly_as_written() {
        for written in ["1.10", "0o14", "007", "1_000", "yes", "True", "0x1F", ".inf", "2024-01-02", "1e3", "a: b"] {
            let text = if written.contains(':') { format!("k: '{written}'") } else { format!("k: {written}") };
            assert_eq!(one(&text), written);
        }
        for null in ["", "~", "null", "NULL"] {
            assert_eq!(one(&format!("k: {null}")), "");
        }
        assert_eq!(one("k: 'null'"), "null");
        assert_eq!(one("k: !!str null"), "null");
        assert_eq!(one("k: |\n  a\n  b\n"), "a\nb\n");
        assert_eq!(one("k: |-\n  a\n  b\n"), "a\nb");
        assert_eq!(one("k: \"a\\tb\""), "a\tb");
        assert_eq!(one("k: !!binary aGVs\n"), "hel");
        assert_eq!(one("k: !custom x"), "x");
        assert_eq!(one("\u{feff}k: x"), "x");
        assert_eq!(one("1: x"), "x");
    }

    #[test]
    fn nested_values_become_compact_json() {
        assert_eq!(
            one("k: {a: [1, 1.50, 007, 'x', yes, true, ~, 0x1]}"),
            r#"{"a":[1,1.50,"007","x","yes",true,null,"0x1"]}"#
        );
        assert_eq!(one("k:\n  - a: \"q\\\"\"\n  - {}\n  - []\n"), r#"[{"a":"q\""},{},[]]"#);
    }

    #[test]
    fn documents_that_are_no_mapping_have_no_keys() {
        for text in ["", "# nothing", "just text", "- a\n- b", "42", "---\n"] {
            assert_eq!(parse(text, MAX), Ok(None), "{text:?}");
        }
        assert_eq!(parse("{}", MAX), Ok(Some(vec![])));
    }

    #[test]
    fn aliases_and_merge_keys_expand() {
        assert_eq!(keys("a: &x 5\nb: *x\n")[1].1, "5");
        let merged = keys("base: &b {u: 1, v: 2}\nk: {<<: *b, v: 3}\n");
        assert_eq!(merged[1].1, r#"{"v":3,"u":1}"#);
        let top = keys("<<: [{a: 1, b: 2}, {b: 3, c: 4}]\nc: 5\n");
        assert_eq!(top, [("c", "5"), ("a", "1"), ("b", "2")].map(|(k, v)| (k.to_owned(), v.to_owned())));
    }

    #[test]
    fn what_aliases_blow_up_to_is_refused() {
        let mut laughs = String::from("a0: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol]\n");
        for i in 1..30 {
            let items = vec![format!("*a{}", i - 1); 9].join(",");
            laughs.push_str(&format!("a{i}: &a{i} [{items}]\n"));
        }
        assert_eq!(parse(&laughs, MAX), Err(YamlError::TooLarge));

        let mut chain = String::from("a0: &a0 [x]\n");
        for i in 1..5000 {
            chain.push_str(&format!("a{i}: &a{i} [*a{}]\n", i - 1));
        }
        assert!(matches!(parse(&chain, MAX), Err(YamlError::Syntax { why: "nested too deeply", .. })));

        let mut merges = String::from("b: &b {");
        for i in 0..1000 {
            merges.push_str(&format!("k{i}: {i},"));
        }
        merges.push_str("}\n");
        for i in 0..5000 {
            merges.push_str(&format!("m{i}: {{<<: *b}}\n"));
        }
        assert_eq!(parse(&merges, MAX), Err(YamlError::TooLarge));
        assert!(matches!(parse("a: &a [*a]", MAX), Err(YamlError::Syntax { .. })));
    }

    #[test]
    fn deep_nesting_is_refused() {
        for opening in ["[", "{a: ", "- ", "? "] {
            let text = format!("k:\n {}", opening.repeat(2000));
            assert!(matches!(parse(&text, MAX), Err(YamlError::Syntax { .. })), "{opening}");
        }
    }

    #[test]
    fn errors_name_the_line_and_never_the_text() {
        assert!(matches!(parse("a: 1\nb: [hunter2\n", MAX), Err(YamlError::Syntax { line: 2.., .. })));
        assert_eq!(parse("a: 1\na: 2\n", MAX), Err(YamlError::Syntax { line: 2, why: "a key that was already given" }));
        assert!(matches!(parse("a: 1\n---\nb: 2\n", MAX), Err(YamlError::Syntax { .. })));
        assert!(matches!(parse("[a, b]: 1\n", MAX), Err(YamlError::Syntax { .. })));
        assert!(matches!(parse("a: *nobody\n", MAX), Err(YamlError::Syntax { .. })));
        assert!(matches!(parse("a: !!binary '***'\n", MAX), Err(YamlError::Syntax { .. })));
    }

    mod properties {
        use super::*;

        proptest::proptest! {
            #[test]
            fn no_input_makes_it_panic(text in r#"[a-c&*!<>|%'":,\[\]{}#?\-~ \n\t.0-9]{0,120}"#) {
                let _ = parse(&text, 10_000);
            }
        }
    }
}
