//! What is written is what `docs/audit.schema.json` promises, and the example in `docs/audit.md` is real.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::json;
use super::record::{Action, Cache, Event, Lost, Outcome, Record, VERSION};
use super::test_sinks::record;

const SCHEMA: &str = include_str!("../../../docs/audit.schema.json");
const MANUAL: &str = include_str!("../../../docs/audit.md");

/// The part of JSON Schema that ours uses. A keyword that is not here fails, lest it be believed and not checked.
fn judge(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    for (keyword, rule) in schema.as_object().ok_or(format!("{at}: no schema"))? {
        let holds = match keyword.as_str() {
            "$schema" | "$id" | "title" | "description" => true,
            "oneOf" => {
                let judged: Vec<_> = rule.as_array().unwrap().iter().map(|schema| judge(schema, value, at)).collect();
                match judged.iter().filter(|result| result.is_ok()).count() {
                    1 => true,
                    _ => return Err(format!("{at}: not exactly one of {judged:?}")),
                }
            }
            "type" => match rule {
                Value::Array(types) => types.iter().any(|name| is_of_type(value, name)),
                name => is_of_type(value, name),
            },
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value.as_i64().is_none_or(|number| number >= rule.as_i64().unwrap()),
            "maximum" => value.as_u64().is_none_or(|number| number <= rule.as_u64().unwrap()),
            "format" => {
                assert_eq!(rule, "date-time");
                humantime::parse_rfc3339(value.as_str().unwrap_or_default()).is_ok()
            }
            "required" => rule.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
            "properties" => {
                for (name, schema) in rule.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        judge(schema, value, &format!("{at}.{name}"))?;
                    }
                }
                true
            }
            "additionalProperties" => {
                assert_eq!(rule, false);
                value.as_object().unwrap().keys().all(|name| schema["properties"].get(name).is_some())
            }
            other => panic!("{at}: the keyword {other} is not checked"),
        };
        if !holds {
            return Err(format!("{at}: {keyword} {rule} does not hold for {value}"));
        }
    }
    Ok(())
}

fn is_of_type(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        other => panic!("unknown type {other}"),
    }
}

fn holds(event: &Event) -> Result<(), String> {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    judge(&schema, &serde_json::from_slice(&json::of(event)).unwrap(), "$")
}

fn decision(change: impl FnOnce(&mut Record)) -> Event {
    let mut record = record("prod/db/PASSWORD");
    change(&mut record);
    Event::Decision(Box::new(record))
}

#[test]
fn every_record_holds_to_the_schema() {
    for action in [Action::List, Action::Read, Action::ReadPrevious] {
        for outcome in [Outcome::Allow, Outcome::Deny, Outcome::Error] {
            for cache in [None, Some(Cache::Hit), Some(Cache::Miss), Some(Cache::Stale)] {
                let event = decision(|record| (record.action, record.outcome, record.cache) = (action, outcome, cache));
                assert_eq!(holds(&event), Ok(()));
            }
        }
    }
    let bare = decision(|record| {
        (record.version, record.age, record.tgid, record.exe, record.unit) = (None, None, None, None, None);
        (record.errno, record.identity, record.container) = (Some("EACCES"), Some("airflow".into()), Some("a".into()));
        (record.uid, record.gid, record.pid, record.latency_us) = (u32::MAX, u32::MAX, 0, u64::MAX);
    });
    assert_eq!(holds(&bare), Ok(()));
    assert_eq!(holds(&decision(|record| record.age = Some(u64::MAX))), Ok(()));
    let time = SystemTime::now();
    let lost = Lost { time, sink: "file", count: 3, since: time, reason: "No space left on device".to_owned() };
    assert_eq!(holds(&Event::Lost(lost)), Ok(()));
}

#[test]
fn whatever_the_clock_says_the_time_is_one_that_can_be_written() {
    let year = Duration::from_secs(31_557_600);
    for time in [SystemTime::UNIX_EPOCH - year, SystemTime::UNIX_EPOCH + 9_000 * year, SystemTime::now()] {
        let event = decision(|record| record.time = time);
        assert_eq!(holds(&event), Ok(()), "{time:?}");
    }
}

#[test]
fn the_checker_can_say_no() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let good: Value = serde_json::from_slice(&json::of(&decision(|_| ()))).unwrap();
    for (name, wrong) in [
        ("v", 2.into()),
        ("event", "lost".into()),
        ("time", "yesterday".into()),
        ("uid", (-1).into()),
        ("cache", "cold".into()),
        ("age", (-1).into()),
        ("age", "42".into()),
        ("exe", 5.into()),
        ("value", "hunter2".into()),
    ] {
        let mut bad = good.clone();
        bad[name] = wrong;
        assert!(judge(&schema, &bad, "$").is_err(), "{name}");
    }
    let mut short = good;
    short.as_object_mut().unwrap().remove("path");
    assert!(judge(&schema, &short, "$").is_err());
}

#[test]
fn the_example_in_the_manual_is_what_is_written() {
    let line = String::from_utf8(json::of(&decision(|_| ()))).unwrap();
    assert!(MANUAL.contains(&line), "docs/audit.md does not hold\n{line}");
}

#[test]
fn the_manual_names_every_field() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    for event in schema["oneOf"].as_array().unwrap() {
        assert_eq!(event["properties"]["v"]["const"], VERSION);
        for name in event["properties"].as_object().unwrap().keys() {
            assert!(MANUAL.contains(&format!("| `{name}` |")), "docs/audit.md does not describe {name}");
        }
    }
}
