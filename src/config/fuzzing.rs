//! The configuration's text.

use super::judged::judged;

/// Whatever one to three files say, every complaint has a place that exists, and is told without control characters.
pub fn configuration(bytes: &[u8]) {
    let texts: Vec<String> =
        bytes.splitn(3, |byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned()).collect();
    let report = judged(&texts);
    let plain = report.render(false);
    assert_eq!(report.is_empty(), plain.is_empty());
    assert_eq!(report.is_empty(), report.render(true).is_empty());
    assert!(!plain.contains(|c: char| c.is_control() && c != '\n'), "{plain:?}");
    let lines = texts.iter().map(|text| text.split('\n').count()).max().unwrap_or(1);
    for entry in report.entries() {
        assert!(entry.position.line.is_some_and(|line| (1..=lines).contains(&line)), "{entry:?}");
        assert!(entry.position.column.is_some_and(|column| column >= 1), "{entry:?}");
    }
}
