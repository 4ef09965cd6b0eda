//! Numbers, times and sizes.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::ValueParser;

/// The longest time that can be configured, 49 days. Sums of such times do not overflow.
pub(in crate::app::config) const LONGEST: u32 = u32::MAX;

fn number(text: &str, range: &RangeInclusive<u32>) -> Result<u32, Option<String>> {
    let number = text.trim().parse().map_err(|_| None)?;
    if range.contains(&number) {
        Ok(number)
    } else {
        Err(None)
    }
}

fn number_expected(range: &RangeInclusive<u32>) -> String {
    format!("a whole number from {} to {}", range.start(), range.end())
}

pub(in crate::app::config) struct Milliseconds(pub(in crate::app::config) RangeInclusive<u32>);

impl ValueParser for Milliseconds {
    type Value = Duration;

    fn expected(&self) -> String {
        format!("milliseconds, {}", number_expected(&self.0))
    }

    fn parse(&self, text: &str) -> Result<Duration, Option<String>> {
        number(text, &self.0).map(|millis| Duration::from_millis(millis.into()))
    }
}

/// Milliseconds; 0 means never.
pub(in crate::app::config) struct MillisecondsOrNever;

impl ValueParser for MillisecondsOrNever {
    type Value = Option<Duration>;

    fn expected(&self) -> String {
        format!(
            "milliseconds, {}, or 0 for never",
            number_expected(&(1..=LONGEST))
        )
    }

    fn parse(&self, text: &str) -> Result<Option<Duration>, Option<String>> {
        let time = Milliseconds(0..=LONGEST).parse(text)?;
        Ok(Some(time).filter(|time| !time.is_zero()))
    }
}

pub(in crate::app::config) struct Count(pub(in crate::app::config) RangeInclusive<u32>);

impl ValueParser for Count {
    type Value = usize;

    fn expected(&self) -> String {
        number_expected(&self.0)
    }

    fn parse(&self, text: &str) -> Result<usize, Option<String>> {
        number(text, &self.0).and_then(|count| usize::try_from(count).map_err(|_| None))
    }
}

/// A number of bytes, optionally in a larger unit.
pub(in crate::app::config) struct Size;

impl ValueParser for Size {
    type Value = u64;

    fn expected(&self) -> String {
        "a number of bytes above 0, or a whole number of `KiB`, `MiB`, `GiB` or `TiB`, such as 500MiB".into()
    }

    fn parse(&self, text: &str) -> Result<u64, Option<String>> {
        let text = text.trim();
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit: u64 = match text[digits.len()..].trim_start() {
            "" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            _ => return Err(None),
        };
        let number = digits.parse::<u64>().ok();
        let size = number.and_then(|number| number.checked_mul(unit));
        size.filter(|size| *size > 0).ok_or(None)
    }
}

pub(in crate::app::config) struct Port;

impl ValueParser for Port {
    type Value = u16;

    fn expected(&self) -> String {
        "a port, a whole number from 1 to 65535".into()
    }

    fn parse(&self, text: &str) -> Result<u16, Option<String>> {
        text.trim()
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or(None)
    }
}
