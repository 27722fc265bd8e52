//! `docs/semantics.md` names the test of each claim; this holds it to that.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A line of a table that begins with a claim's number: the number, and the names in its last cell.
fn claims(text: &str) -> Vec<(u32, Vec<String>)> {
    let rows = text.lines().filter(|line| line.starts_with("| S"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let number = cells[0].trim_start_matches('S').parse().unwrap_or_else(|_| panic!("no number in: {row}"));
        let cell = cells.last().unwrap().trim_end_matches('|').trim();
        let names: Vec<String> = cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        assert!(!names.is_empty(), "no test holds hushfs to: {row}");
        (number, names)
    })
    .collect()
}

/// The functions called as a test is, and the paths of the files they are in.
fn functions(directory: &Path, found: &mut BTreeSet<(String, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            for line in fs::read_to_string(&path).unwrap().lines() {
                if let Some((_, rest)) = line.split_once("fn ") {
                    let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    found.insert((path.display().to_string(), name));
                }
            }
        }
    }
}

#[test]
fn every_claim_has_a_number_of_its_own_in_order() {
    let text = fs::read_to_string("docs/semantics.md").unwrap();
    let numbers: Vec<u32> = claims(&text).into_iter().map(|(number, _)| number).collect();
    assert!(!numbers.is_empty());
    assert_eq!(numbers, (1..=numbers.len() as u32).collect::<Vec<_>>());
}

#[test]
fn every_test_that_a_claim_names_is_there() {
    let text = fs::read_to_string("docs/semantics.md").unwrap();
    let mut found = BTreeSet::new();
    functions(Path::new("src"), &mut found);
    functions(Path::new("tests"), &mut found);
    let missing: Vec<String> = claims(&text)
        .into_iter()
        .flat_map(|(number, names)| names.into_iter().map(move |name| (number, name)))
        .filter(|(_, name)| {
            // `file::test` or `a::module::test`: the file or folder before the last `::`, modules in files aside.
            let inner = ["tests", "properties", "as_root"];
            let mut parts: Vec<&str> = name.split("::").filter(|part| !inner.contains(part)).collect();
            let test = parts.pop().unwrap_or_default();
            let place = parts.pop().unwrap_or_default();
            // The contract's tests are written once, and run for each provider.
            let place = if parts.contains(&"contract") { "contract" } else { place };
            !found.iter().any(|(path, name)| name == test && path.contains(place))
        })
        .map(|(number, name)| format!("S{number}: {name}"))
        .collect();
    assert!(missing.is_empty(), "docs/semantics.md names tests that are not there: {missing:#?}");
}
