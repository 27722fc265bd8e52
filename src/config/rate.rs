//! Rates as they are written: `"40/s"`, `"6000/m"`, `"4000/10s"`, `"unlimited"`.

use std::fmt;
use std::time::Duration;

use super::duration;

/// What a value should have looked like.
pub const EXPECTED: &str = "a number of calls in a time such as \"40/s\" or \"6000/m\", or \"unlimited\"";

const UNLIMITED: &str = "unlimited";

const MOST: u32 = 1_000_000;
/// The least time for each call.
const FASTEST: Duration = Duration::from_micros(1);
const LONGEST: Duration = Duration::from_secs(86_400);
const SHORTEST: Duration = Duration::from_millis(1);

/// So many calls in such a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// 1 to 1,000,000.
    calls: u32,
    /// 1 ms to a day.
    per: Duration,
}

impl Rate {
    /// None where it is out of bounds: at most a million a second, too.
    pub fn new(calls: u32, per: Duration) -> Option<Self> {
        let fits = (1..=MOST).contains(&calls) && (SHORTEST..=LONGEST).contains(&per);
        let fits = fits && FASTEST.saturating_mul(calls) <= per;
        fits.then_some(Self { calls, per })
    }

    /// What a scope has by default: no host that works as it should gets there.
    pub const fn of_services() -> Self {
        Self { calls: 6000, per: Duration::from_secs(60) }
    }

    pub fn calls(self) -> u32 {
        self.calls
    }

    pub fn per(self) -> Duration {
        self.per
    }
}

/// As it is written.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.per.as_millis();
        let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
        let (unit, length) = units.into_iter().find(|(_, length)| millis.is_multiple_of(*length)).unwrap_or(("ms", 1));
        match millis / length {
            1 => write!(f, "{}/{unit}", self.calls),
            many => write!(f, "{}/{many}{unit}", self.calls),
        }
    }
}

/// Why a text is no rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RateError {
    /// A number alone.
    NoTime(String),
    /// The rate as it was probably meant.
    Meant(String),
    OutOfBounds,
    NotARate,
}

impl RateError {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::NoTime(number) => add_a_time(number),
            Self::Meant(rate) => format!("did you mean \"{rate}\"?"),
            Self::OutOfBounds => {
                "1 to 1000000 calls can be counted, in a time of \"1ms\" to \"1d\", and at most 1000000 a second"
                    .to_owned()
            }
            Self::NotARate => {
                "write a whole number, `/`, and `s`, `m` (minutes), `h`, or a time such as `10s`".to_owned()
            }
        }
    }
}

/// The advice for a number that says not in which time.
pub fn add_a_time(number: impl fmt::Display) -> String {
    format!("add a time: \"{number}/s\" for so many in a second, \"{number}/m\" in a minute")
}

/// None: as many as anyone likes.
pub fn parse(text: &str) -> Result<Option<Rate>, RateError> {
    if text == UNLIMITED {
        return Ok(None);
    }
    let Some((number, time)) = text.split_once('/') else {
        return Err(match text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
            true => RateError::NoTime(text.to_owned()),
            false => meant(text).unwrap_or(RateError::NotARate),
        });
    };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let counted = if time.starts_with(|c: char| c.is_ascii_digit()) { time.to_owned() } else { format!("1{time}") };
    match duration::parse(&counted) {
        Ok(per) if is_number => {
            let calls = number.parse().map_err(|_| RateError::OutOfBounds)?;
            Rate::new(calls, per).map(Some).ok_or(RateError::OutOfBounds)
        }
        Err(duration::DurationError::TooLong) if is_number => Err(RateError::OutOfBounds),
        _ => Err(meant(text).unwrap_or(RateError::NotARate)),
    }
}

/// `40 / s`, `40/S`, `40/sec` and `40 per second` are all taken to mean `40/s`.
fn meant(text: &str) -> Option<RateError> {
    let lower = text.to_lowercase().replace("per", "/");
    let compact: String = lower.chars().filter(|c| !c.is_whitespace()).collect();
    let (number, time) = compact.split_once('/').unwrap_or((&compact, ""));
    let digits = time.find(|c: char| !c.is_ascii_digit()).unwrap_or(time.len());
    let (many, unit) = (time.get(..digits).unwrap_or_default(), time.get(digits..).unwrap_or_default());
    let unit = match unit {
        "sec" | "secs" | "second" | "seconds" => "s",
        "min" | "mins" | "minute" | "minutes" => "m",
        "hr" | "hour" | "hours" => "h",
        other => other,
    };
    let rate = if time.is_empty() { compact.clone() } else { format!("{number}/{many}{unit}") };
    (rate != text && parse(&rate).is_ok()).then_some(RateError::Meant(rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_written_and_shown_as_read() {
        for (text, calls, seconds) in
            [("40/s", 40, 1), ("6000/m", 6000, 60), ("4000/10s", 4000, 10), ("600/h", 600, 3600), ("5/90s", 5, 90)]
        {
            let rate = Rate::new(calls, Duration::from_secs(seconds)).unwrap();
            assert_eq!(parse(text), Ok(Some(rate)), "{text}");
            assert_eq!(rate.to_string(), text);
        }
        assert_eq!(parse("1/500ms").unwrap().unwrap().to_string(), "1/500ms");
        assert_eq!(parse("unlimited"), Ok(None));
        assert_eq!(Rate::of_services().to_string(), "6000/m");
    }

    #[test]
    fn what_is_no_rate_is_told_apart() {
        use RateError::*;
        let means = |rate: &str| Meant(rate.to_owned());
        for (text, error) in [
            ("40", NoTime("40".into())),
            ("40/sec", means("40/s")),
            ("40 / s", means("40/s")),
            ("40/S", means("40/s")),
            ("40 per second", means("40/s")),
            ("4000 per 10 seconds", means("4000/10s")),
            ("Unlimited", means("unlimited")),
            ("0/s", OutOfBounds),
            ("1000001/s", OutOfBounds),
            ("99999999999999999999/s", OutOfBounds),
            ("1001/1ms", OutOfBounds),
            ("40/2d", OutOfBounds),
            ("40/99999999999999h", OutOfBounds),
            ("40/0s", OutOfBounds),
            ("", NotARate),
            ("/s", NotARate),
            ("40/", NotARate),
            ("-1/s", NotARate),
            ("1.5/s", NotARate),
            ("s/40", NotARate),
            ("40/s/s", NotARate),
            ("40/x", NotARate),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    mod properties {
        use super::*;

        proptest::proptest! {
            #[test]
            fn every_rate_is_read_as_it_is_shown(calls in 1..=MOST, millis in 1..=86_400_000_u64) {
                let calls = calls.min(u32::try_from(millis * 1000).unwrap_or(MOST));
                let rate = Rate::new(calls, Duration::from_millis(millis)).unwrap();
                proptest::prop_assert_eq!(parse(&rate.to_string()), Ok(Some(rate)));
            }

            #[test]
            fn no_text_makes_it_panic_and_what_was_meant_is_a_rate(text in "[0-9]{0,21}( |/|per|é|\\PC){0,2}[0-9]{0,3}(s|m|S|sec|h|d|\\PC)?") {
                if let Err(RateError::Meant(meant)) = parse(&text) {
                    proptest::prop_assert!(parse(&meant).is_ok());
                }
            }
        }
    }
}
