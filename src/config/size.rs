//! Sizes as they are written: `"64MiB"`, `"512KiB"`, or a whole number of bytes.

/// What a value should have looked like.
pub const EXPECTED: &str = "a size such as \"64MiB\" or \"512KiB\", or a number of bytes";

const UNITS: &[(&str, u64)] = &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// Why a text is no size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SizeError {
    /// The size as it was probably meant.
    Meant(String),
    TooLarge,
    NotASize,
}

impl SizeError {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Meant(size) => format!("did you mean \"{size}\"?"),
            Self::TooLarge => "the largest size is 8388607TiB".to_owned(),
            Self::NotASize => "write a whole number and a unit: `B`, `KiB`, `MiB`, `GiB` or `TiB`".to_owned(),
        }
    }
}

/// Parses a whole number of bytes or of a binary unit. At most `i64::MAX`, so that the kernel's signed
/// sizes can hold it.
pub fn parse(text: &str) -> Result<u64, SizeError> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (text.get(..end).unwrap_or_default(), text.get(end..).unwrap_or_default());
    if number.is_empty() {
        return Err(SizeError::NotASize);
    }
    let factor = match UNITS.iter().find(|(name, _)| *name == unit) {
        Some((_, factor)) => *factor,
        None if unit.is_empty() => 1,
        None => return Err(meant(number, unit)),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .filter(|bytes| i64::try_from(*bytes).is_ok())
        .ok_or(SizeError::TooLarge)
}

/// As it would be written, for messages.
pub fn show(bytes: u64) -> String {
    let (unit, factor) =
        UNITS.iter().rev().find(|(_, factor)| bytes != 0 && bytes.is_multiple_of(*factor)).unwrap_or(&("B", 1));
    format!("{}{unit}", bytes / factor)
}

/// `64MB`, `64mb`, `64 MiB` and `64M` are all taken to mean `64MiB`.
fn meant(number: &str, unit: &str) -> SizeError {
    let letter = unit.trim_start().to_uppercase();
    UNITS
        .iter()
        .filter(|(name, _)| parse(&format!("{number}{name}")).is_ok())
        .find(|(name, _)| {
            let upper = name.to_uppercase();
            letter == upper || letter == upper.replace('I', "") || letter == upper.replace("IB", "")
        })
        .map_or(SizeError::NotASize, |(name, _)| SizeError::Meant(format!("{number}{name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_written() {
        for (text, bytes) in [("0", 0), ("12", 12), ("12B", 12), ("512KiB", 512 << 10), ("64MiB", 64 << 20)] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
            assert_eq!(parse(&show(bytes)), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_told_apart() {
        for text in ["64MB", "64mb", "64mib", "64M", "64 MiB"] {
            assert_eq!(parse(text), Err(SizeError::Meant("64MiB".into())), "{text}");
        }
        for text in ["", "-1", "1.5MiB", "big", "1XiB", "MiB"] {
            assert_eq!(parse(text), Err(SizeError::NotASize), "{text}");
        }
        for text in ["99999999999999999999", "9999999999TiB", "8388608TiB"] {
            assert_eq!(parse(text), Err(SizeError::TooLarge), "{text}");
        }
    }

    mod properties {
        use super::*;

        proptest::proptest! {
            #[test]
            fn every_size_is_read_as_it_is_shown(bytes in 0..=i64::MAX as u64) {
                proptest::prop_assert_eq!(parse(&show(bytes)), Ok(bytes));
            }

            #[test]
            fn no_text_makes_it_panic(text in "[0-9]{0,21}([KMGT]i?B|B|é|\\PC{0,4})") {
                if let Err(SizeError::Meant(meant)) = parse(&text) {
                    proptest::prop_assert!(parse(&meant).is_ok());
                }
            }
        }
    }
}
