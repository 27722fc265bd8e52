//! `docs/threat-model.md` has a table of the unsafe code, and why there is each; this holds it to that.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What opens something unsafe. An `unsafe fn` is counted with the blocks in it.
const UNSAFE: [&str; 2] = ["unsafe {", "unsafe impl "];
/// How far above it its reason may stand, in lines.
const NEAR: usize = 4;

/// Lines of a file that are not its tests.
fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]\nmod ").next().unwrap_or_default().lines().map(str::to_owned).collect()
}

fn is_unsafe(line: &str) -> bool {
    UNSAFE.iter().any(|opening| line.contains(opening)) && !line.trim_start().starts_with("//")
}

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.display().to_string();
        if path.is_dir() {
            sources(&path, found);
        } else if name.ends_with(".rs") && !name.ends_with("_test.rs") && !name.ends_with("tests.rs") {
            found.push(name);
        }
    }
}

fn all() -> BTreeMap<String, usize> {
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    let count = |file: &String| lines(Path::new(file)).iter().filter(|line| is_unsafe(line)).count();
    files.into_iter().map(|file| (file.clone(), count(&file))).filter(|(_, count)| *count > 0).collect()
}

#[test]
fn the_table_names_every_file_with_unsafe_code_and_how_much_there_is() {
    let document = fs::read_to_string("docs/threat-model.md").unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [file, count, why, ..] = cells[..] else { return None };
        assert!(!why.is_empty(), "{line}");
        Some((file.trim_matches('`').to_owned(), count.parse().ok()?))
    };
    let told: BTreeMap<String, usize> =
        document.lines().filter(|line| line.starts_with("| `src/")).filter_map(row).collect();
    assert_eq!(told, all());
    let sum: usize = told.values().sum();
    assert!(document.contains(&format!("{sum} pieces of unsafe code")), "there are {sum}");
}

#[test]
fn every_piece_of_unsafe_code_says_why_it_is_sound() {
    for file in all().keys() {
        let lines = lines(Path::new(file));
        for (at, _) in lines.iter().enumerate().filter(|(_, line)| is_unsafe(line)) {
            let above = &lines[at.saturating_sub(NEAR)..at];
            assert!(above.iter().any(|line| line.contains("// SAFETY: ")), "{file}:{} does not say why", at + 1);
        }
    }
}
