//! Times and sizes as a person writes them.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

/// Units of sizes.
const UNITS: [(&str, u64); 9] = [
    ("", 1),
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KIB", 1 << 10),
    ("MIB", 1 << 20),
    ("GIB", 1 << 30),
];

/// A time such as `90s`, `12h` or `30d`; a day has 24 hours.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time; write 90s, 12h or 30d");
    let span: Span = text.parse().map_err(|_| wrong())?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    duration.try_into().map_err(|_| wrong())
}

/// A size such as `500MB` or `2GiB`.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_ascii_uppercase();
    let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
    let size = number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    size.ok_or_else(|| format!("`{text}` is not a size; write 500MB, 10GB or 2GiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_read_as_people_write_them() {
        for (text, seconds) in
            [("90s", 90), ("0s", 0), ("12h", 43_200), ("30d", 2_592_000), ("1h 30m", 5_400)]
        {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for (text, bytes) in [("0", 0), ("12", 12), ("500MB", 500_000_000), ("2 GiB", 2 << 30), ("1kb", 1000)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "soon", "-1h", "1 month"] {
            assert!(duration(text).unwrap_err().contains("write 90s"), "{text}");
        }
        for text in ["", "GB", "-1", "1.5GB", "99999999999TB"] {
            assert!(size(text).unwrap_err().contains("write 500MB"), "{text}");
        }
    }
}
