//! How a secret's name and the name of its file become each other.

/// What is inside a file, by its extension. The order is that of precedence where two files have one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileFormat {
    Json,
    Yaml,
    Env,
    /// Anything; never split.
    Bytes,
}

impl FileFormat {
    /// The format that a file name's extension says, and the name without it.
    pub fn of(file: &str) -> (&str, FileFormat) {
        for (extension, format) in EXTENSIONS {
            if let Some(stem) = file.strip_suffix(extension)
                && !stem.is_empty()
            {
                return (stem, format);
            }
        }
        (file, FileFormat::Bytes)
    }

    /// The extension that new files of this format get, before `.age`.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Json => ".json",
            Self::Yaml => ".yaml",
            Self::Env => ".env",
            Self::Bytes => "",
        }
    }
}

/// `Bytes` has none, so it is not here.
const EXTENSIONS: [(&str, FileFormat); 4] =
    [(".json", FileFormat::Json), (".yaml", FileFormat::Yaml), (".yml", FileFormat::Yaml), (".env", FileFormat::Env)];

/// A file name taken apart. Ordered by precedence: what is encrypted goes before what is not, so that a
/// plaintext file can never stand in for an encrypted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileName<'a> {
    pub plaintext: bool,
    pub format: FileFormat,
    /// The last component of the secret's name.
    pub leaf: &'a str,
}

impl<'a> FileName<'a> {
    /// None for hidden files, which are never secrets.
    pub fn parse(file: &'a str) -> Option<Self> {
        if !is_component(file) {
            return None;
        }
        let (rest, plaintext) = match file.strip_suffix(".age") {
            Some(rest) => (rest, false),
            None => (file, true),
        };
        let (leaf, format) = FileFormat::of(rest);
        (!leaf.is_empty()).then_some(Self { plaintext, format, leaf })
    }
}

/// The files that can hold the secret whose last component is `leaf`, by precedence.
pub fn candidates(leaf: &str) -> Vec<(String, FileFormat, bool)> {
    let mut found = Vec::new();
    for (suffix, plaintext) in [(".age", false), ("", true)] {
        for extension in EXTENSIONS.map(|(extension, _)| extension).into_iter().chain([""]) {
            let file = format!("{leaf}{extension}{suffix}");
            // `x.json` is no name of a file of bytes `x.json.age`: that file is the secret `x`.
            if let Some(name) = FileName::parse(&file)
                && name.leaf == leaf
                && name.plaintext == plaintext
            {
                let format = name.format;
                found.push((file, format, plaintext));
            }
        }
    }
    found
}

/// May this be a file or folder of the store? Hidden ones, `.` and `..` are not.
pub fn is_component(part: &str) -> bool {
    !part.is_empty() && !part.starts_with('.') && !part.contains(['/', '\0'])
}

/// A secret's name as folder (empty for the top) and last component; None if it can be no name here.
pub fn split(name: &str) -> Option<(&str, &str)> {
    name.split('/').all(is_component).then(|| name.rsplit_once('/').unwrap_or(("", name)))
}

/// A path inside the store.
pub fn join(folder: &str, file: &str) -> String {
    if folder.is_empty() { file.to_owned() } else { format!("{folder}/{file}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(file: &str) -> Option<(&str, FileFormat, bool)> {
        FileName::parse(file).map(|name| (name.leaf, name.format, name.plaintext))
    }

    #[test]
    fn extensions_say_the_format() {
        assert_eq!(parsed("db.json.age"), Some(("db", FileFormat::Json, false)));
        assert_eq!(parsed("db.yml.age"), Some(("db", FileFormat::Yaml, false)));
        assert_eq!(parsed("db.env"), Some(("db", FileFormat::Env, true)));
        assert_eq!(parsed("cert.pem.age"), Some(("cert.pem", FileFormat::Bytes, false)));
        assert_eq!(parsed("json.age"), Some(("json", FileFormat::Bytes, false)));
        assert_eq!(parsed("x.age.age"), Some(("x.age", FileFormat::Bytes, false)));
        for hidden in [".age", ".json.age", ".git", "", "..", "a/b.age"] {
            assert_eq!(parsed(hidden), None, "{hidden}");
        }
    }

    #[test]
    fn every_candidate_reads_back_as_the_name_it_was_made_from() {
        for leaf in ["db", "cert.pem", "x.json", "a.age", "env", "x.json.yaml"] {
            for (file, format, plaintext) in candidates(leaf) {
                assert_eq!(parsed(&file), Some((leaf, format, plaintext)));
            }
        }
        assert!(candidates("x.json").iter().all(|(file, ..)| file != "x.json.age" && file != "x.json"));
        assert_eq!(candidates("db").len(), 10);
        assert!(candidates("db").is_sorted_by_key(|(_, format, plaintext)| (*plaintext, *format)));
    }

    #[test]
    fn a_name_never_leaves_the_folder() {
        for bad in ["", "/", "/etc/passwd", "../x", "a/../b", "a//b", "a/", ".hidden", "a/.b", "a\0b", "."] {
            assert_eq!(split(bad), None, "{bad:?}");
        }
        assert_eq!(split("a/b/c"), Some(("a/b", "c")));
        assert_eq!(split("a"), Some(("", "a")));
    }

    mod properties {
        use super::*;

        proptest::proptest! {
            #[test]
            fn a_file_that_holds_a_secret_is_among_its_candidates(file in "[a.]{0,3}(x|\\PC{0,3})(.json|.yaml|.yml|.env|)(.age|)") {
                if let Some(name) = FileName::parse(&file) {
                    let found = candidates(name.leaf);
                    // A leaf that is hidden can be asked for by no name.
                    proptest::prop_assert!(
                        found.contains(&(file.clone(), name.format, name.plaintext)) || !is_component(name.leaf)
                    );
                }
            }

            #[test]
            fn a_name_is_split_and_joined_again(name in "[a./]{0,8}") {
                if let Some((folder, leaf)) = split(&name) {
                    proptest::prop_assert_eq!(join(folder, leaf), &*name);
                    proptest::prop_assert!(is_component(leaf));
                }
            }
        }
    }
}
