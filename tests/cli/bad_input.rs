//! Files that are no configuration at all.

use crate::support::{Fixture, golden, goldens};

goldens! {
    an_empty_file: "";
    a_file_of_newlines: "\n\r\n\n";
    a_byte_order_mark_and_windows_lines: "\u{feff}mountpoint = 1\r\n\r\n[cache]\r\ntll = \"5m\"\r\n";
    a_byte_order_mark_alone: "\u{feff}";
    a_nul_byte: "mountpoint = \"/a\0b\"\n";
    bytes_that_are_not_utf_8: b"root = \"allow\"\nmountpoint = \"/\xff\"\n";
    a_file_in_utf_16: b"\xff\xfem\0o\0u\0n\0t\0";
    arrays_nested_deeply: format!("x = {}", "[".repeat(100_000));
    tables_nested_deeply: format!("x = {}", "{a=".repeat(100_000));
    a_header_nested_deeply: format!("[a{}]", ".a".repeat(100_000));
    brackets_alone: "[[[[\n";
    a_text_that_never_ends: "mountpoint = \"/secrets\n";
    a_value_without_quotes: "mountpoint = /secrets\n";
    a_key_without_a_value: "mountpoint\n";
    yaml: "scopes:\n  prod:\n    provider: local\n";
    json: "{ \"mountpoint\": \"/secrets\" }\n";
    a_key_of_a_megabyte: format!("{} = 1\n", "k".repeat(1_000_000));
    more_wrong_lines_than_anyone_reads:
        (0..1_000).map(|number| format!("wrong{number:04} = 1\n")).collect::<String>();
}

#[test]
fn a_file_that_is_too_large() {
    let fixture = Fixture::new();
    fixture.write("hushfs.toml", " ".repeat((1 << 20) + 1));
    golden("a_file_that_is_too_large", &fixture.check());
    fixture.write("hushfs.toml", " ".repeat(1 << 20));
    assert!(fixture.check().starts_with("exit status 0"));
}

/// Ends with a report and not with a signal, and the report is no megabyte.
#[test]
fn a_megabyte_of_garbage() {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for range in [0u8..=255, 32..=126] {
        let width = u64::from(range.end() - range.start()) + 1;
        let garbage: Vec<u8> = (0..1_000_000).map(|_| range.start() + (random() % width) as u8).collect();
        let fixture = Fixture::new();
        std::fs::write(fixture.file(), garbage).expect("a file is written");
        let said = fixture.check();
        assert!(said.starts_with("exit status 78\n"), "{}", said.chars().take(500).collect::<String>());
        assert!(said.contains("hushfs.toml:1:"), "{said}");
        assert!(said.len() < 2_000, "{} bytes of report", said.len());
    }
}
