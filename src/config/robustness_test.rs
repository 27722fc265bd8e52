//! No text makes the configuration panic, and every complaint has a place that exists.

use proptest::collection::vec;
use proptest::prelude::*;

use super::judged::judged;

/// Lines that are nearly a configuration, which get further than noise does.
fn line() -> impl Strategy<Value = String> {
    let header = prop::sample::select(vec![
        "[cache]",
        "[control]",
        "[audit]",
        "[scopes]",
        "[scopes.a]",
        "[scopes.\"ü/\"]",
        "[[scopes.a]]",
        "[grant]",
        "[[grant]]",
        "",
    ]);
    let keys = [
        super::keys::ROOT,
        super::keys::CACHE,
        super::keys::CACHE_ONLY,
        super::keys::AUDIT,
        super::keys::SCOPE,
        super::keys::GRANT,
        super::keys::LOCAL,
        super::keys::AWS_SECRETS_MANAGER,
        &["ttx", "\"\"", "\"a\\nb\"", "a.b", "ü"],
    ]
    .concat();
    let value = prop_oneof![
        prop::sample::select(vec![
            "\"local\"",
            "\"aws-secrets-manager\"",
            "\"5m\"",
            "\"1é\"",
            "\"64MiB\"",
            "-1",
            "0",
            "0x7f",
            "nan",
            "inf",
            "-inf",
            "1e400",
            "9223372036854775808",
            "true",
            "1979-05-27",
            "[]",
            "[\"everyone\"]",
            "[\"uid:0\", \"unit:a.service\", 1]",
            "[\"list\", \"read\", \"raed\"]",
            "[\"a/*\", \"a/b\", \"**\", \"c\"]",
            "\"deny\"",
            "{ a = 1 }",
            "'/'",
            "\"/x\"",
            "\"\"\"\na\n\"\"\"",
            "\"arn:aws:iam::123456789012:role/x\"",
            "\"http://[\"",
            "\"",
        ])
        .prop_map(str::to_owned),
        "\"[ -~é\u{202e}\u{9b}]{0,20}\"",
        ".{0,20}",
    ];
    prop_oneof![
        1 => header.prop_map(str::to_owned),
        3 => (prop::sample::select(keys), value).prop_map(|(key, value)| format!("{key} = {value}")),
    ]
}

fn text() -> impl Strategy<Value = String> {
    let ending = prop::sample::select(vec!["\n", "\r\n"]);
    prop_oneof![
        4 => (vec(line(), 0..12), ending).prop_map(|(lines, ending)| lines.join(ending)),
        1 => "\\PC{0,200}",
        1 => vec(any::<char>(), 0..200).prop_map(|characters| characters.into_iter().collect()),
    ]
}

mod properties {
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_text_is_judged_and_every_complaint_has_a_place(texts in vec(text(), 1..3)) {
            let report = judged(&texts);
            let (plain, colored) = (report.render(false), report.render(true));
            prop_assert_eq!(report.is_empty(), plain.is_empty());
            prop_assert_eq!(report.is_empty(), colored.is_empty());
            let control = |c: char| c.is_control() && c != '\n';
            prop_assert!(!plain.contains(control), "{:?}", plain);
            let lines = texts.iter().map(|text| text.split('\n').count()).max().unwrap_or(1);
            for entry in report.entries() {
                prop_assert!(entry.position.line.is_some_and(|line| (1..=lines).contains(&line)), "{:?}", entry);
                prop_assert!(entry.position.column.is_some_and(|column| column >= 1), "{:?}", entry);
            }
        }
    }
}
