//! Durations as they are written: `"5m"`, `"1h30m"`, `"500ms"`, `"0"`.

use std::time::Duration;

/// What a text should have looked like.
pub const EXPECTED: &str = "a duration such as \"5m\", \"10s\" or \"500ms\"";

/// Far more than anyone means, and far less than what overflows a clock.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Digits of the longest duration in milliseconds.
const LONGEST_NUMBER: usize = 13;

const UNITS: &[(&str, u64)] = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

const NAMES: &[(&str, &str)] = &[
    ("milliseconds", "ms"),
    ("msec", "ms"),
    ("sec", "s"),
    ("secs", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("min", "m"),
    ("mins", "m"),
    ("minute", "m"),
    ("minutes", "m"),
    ("hr", "h"),
    ("hour", "h"),
    ("hours", "h"),
    ("day", "d"),
    ("days", "d"),
];

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DurationError {
    /// A number alone.
    NoUnit(String),
    /// With the whole text as it was probably meant.
    UnknownUnit {
        meant: Option<String>,
    },
    Fraction,
    Negative,
    TooLong,
    NotADuration,
}

impl DurationError {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::NoUnit(number) => add_a_unit(number),
            Self::UnknownUnit { meant: Some(text) } => format!("did you mean \"{text}\"?"),
            Self::UnknownUnit { meant: None } => "the units are `ms`, `s`, `m` (minutes), `h` and `d`".to_owned(),
            Self::Fraction => "write whole numbers, such as \"1h30m\" or \"500ms\"".to_owned(),
            Self::Negative => "write \"0\" for none at all".to_owned(),
            Self::TooLong => "the longest duration is 36500d".to_owned(),
            Self::NotADuration => "write a whole number and a unit: `ms`, `s`, `m` (minutes), `h` or `d`".to_owned(),
        }
    }
}

/// The advice for a number that says not what it counts.
pub fn add_a_unit(number: impl std::fmt::Display) -> String {
    format!("add a unit: \"{number}s\" for seconds, \"{number}m\" for minutes")
}

/// Parses whole numbers with units, largest unit first.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
        return Err(DurationError::Negative);
    }
    let mut millis: u64 = 0;
    let mut larger = u64::MAX;
    let mut rest = text;
    loop {
        let (number, after) = split_at(rest, |c| c.is_ascii_digit());
        let (unit, after) = split_at(after, |c| c.is_alphabetic());
        if number.is_empty() {
            return Err(DurationError::NotADuration);
        }
        if unit.is_empty() {
            return Err(match after.chars().next() {
                None if number == text && number.len() > LONGEST_NUMBER => DurationError::TooLong,
                None if number == text => DurationError::NoUnit(number.to_owned()),
                Some('.') => DurationError::Fraction,
                _ => DurationError::NotADuration,
            });
        }
        let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            let before = text.len() - after.len() - unit.len();
            return Err(unknown_unit(text.get(..before).unwrap_or_default(), unit, after));
        };
        if *factor >= larger {
            return Err(DurationError::NotADuration);
        }
        larger = *factor;
        millis = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(*factor))
            .and_then(|part| millis.checked_add(part))
            .ok_or(DurationError::TooLong)?;
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    let duration = Duration::from_millis(millis);
    if duration > LONGEST { Err(DurationError::TooLong) } else { Ok(duration) }
}

fn unknown_unit(before: &str, unit: &str, after: &str) -> DurationError {
    let lower = unit.to_lowercase();
    let meant = NAMES
        .iter()
        .find(|(name, _)| *name == lower)
        .map(|(_, unit)| *unit)
        .or_else(|| UNITS.iter().find(|(name, _)| *name == lower).map(|(name, _)| *name));
    let corrected = meant.map(|unit| format!("{before}{unit}{after}"));
    DurationError::UnknownUnit { meant: corrected.filter(|text| parse(text).is_ok()) }
}

/// The longest start of `text` whose characters all fit, and the rest.
fn split_at(text: &str, fits: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !fits(c)).unwrap_or(text.len());
    (text.get(..end).unwrap_or_default(), text.get(end..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_written() {
        for (text, millis) in [
            ("0", 0),
            ("0s", 0),
            ("500ms", 500),
            ("10s", 10_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_told_apart() {
        use DurationError::*;
        let unit = |meant: Option<&str>| UnknownUnit { meant: meant.map(str::to_owned) };
        for (text, error) in [
            ("300", NoUnit("300".into())),
            ("5min", unit(Some("5m"))),
            ("5M", unit(Some("5m"))),
            ("5x", unit(None)),
            ("1hr30min", unit(None)),
            ("1h30min", unit(Some("1h30m"))),
            ("99999999999999", TooLong),
            ("1.5h", Fraction),
            ("-5s", Negative),
            ("99999999999999999h", TooLong),
            ("99999999999999999999999999s", TooLong),
            ("36501d", TooLong),
            ("", NotADuration),
            ("five", NotADuration),
            ("5 m", NotADuration),
            ("5m5m", NotADuration),
            ("5m 5s", NotADuration),
            ("5m3", NotADuration),
            ("-", NotADuration),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    mod properties {
        use super::*;

        proptest::proptest! {
            #[test]
            fn what_is_a_duration_has_its_sum_and_nothing_panics(text in "[0-9]{0,21}(ms|[smhdw]|min|é|\\PC){0,2}[0-9]{0,3}[smhd]?") {
                if let Ok(duration) = parse(&text) {
                    proptest::prop_assert!(duration <= LONGEST);
                }
            }

            #[test]
            fn hours_minutes_and_seconds_add_up(h in 0u64..9999, m in 0u64..9999, s in 0u64..9999) {
                let expected = Duration::from_secs(3600 * h + 60 * m + s);
                proptest::prop_assert_eq!(parse(&format!("{h}h{m}m{s}s")), Ok(expected));
            }
        }
    }
}
