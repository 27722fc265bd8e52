//! `docs/semantics.md` names the test of each claim, and `docs/threat-model.md` those of its own; this holds them to that.

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

/// All that is between backticks in a text and is the path of something: `a::b`.
fn paths(text: &str) -> Vec<String> {
    let quoted = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let is_name = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
    quoted.filter(|text| text.contains("::") && text.split("::").all(is_name)).map(str::to_owned).collect()
}

/// The functions in the files of a folder, each with the path of the module that its file is.
fn functions(directory: &Path, module: &[String], found: &mut BTreeSet<(Vec<String>, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        // The contract's tests are written once, and run for each provider.
        let is_of_the_folder = ["main", "mod", "lib"].contains(&&*name) || path.ends_with("contract/suite.rs");
        let module = [module, if is_of_the_folder { &[] } else { std::slice::from_ref(&name) }].concat();
        if path.is_dir() {
            functions(&path, &module, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            for line in fs::read_to_string(&path).unwrap().lines() {
                if let Some((_, rest)) = line.split_once("fn ") {
                    let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    found.insert((module.clone(), name));
                }
            }
        }
    }
}

/// Those of the names that are no test's. What a test's name has between its file and itself are modules in the file.
fn missing(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut found = BTreeSet::new();
    functions(Path::new("src"), &[], &mut found);
    functions(Path::new("tests"), &[], &mut found);
    let is_there = |name: &String| {
        let mut parts: Vec<String> = name.split("::").map(str::to_owned).collect();
        let test = parts.pop().unwrap_or_default();
        (1..=parts.len()).any(|length| found.contains(&(parts[..length].to_vec(), test.clone())))
    };
    names.into_iter().filter(|name| !is_there(name)).collect()
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
    let named: Vec<String> = claims(&text).into_iter().flat_map(|(_, names)| names).collect();
    assert!(!named.is_empty());
    let missing = missing(named);
    assert!(missing.is_empty(), "docs/semantics.md names tests that are not there: {missing:#?}");
}

#[test]
fn every_test_that_the_threat_model_names_is_there() {
    let named = paths(&fs::read_to_string("docs/threat-model.md").unwrap());
    assert!(!named.is_empty());
    let missing = missing(named);
    assert!(missing.is_empty(), "docs/threat-model.md names tests that are not there: {missing:#?}");
}
