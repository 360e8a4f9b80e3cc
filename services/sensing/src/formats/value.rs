//! Single values as devices write them: truths, numbers and times in whatever form. A value that cannot be read says so and
//! leaves the others alone.

use std::collections::BTreeMap;

use serde_json::Value;

/// No sensor measures more; keeps sums far from infinity.
pub(super) const MAX_VALUE: f64 = 1e9;
/// Times before 2001 are those of a clock that was never set, ms.
pub const EPOCH_MS: i64 = 978_307_200_000;

/// What a value turned out to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Got<T> {
    /// This.
    Value(T),
    /// The device has none: null, `n/a`, `nan`, empty.
    Missing,
    /// Something that cannot be read as asked.
    Odd,
}

/// What programs write for a value that they do not have.
pub(super) fn is_missing(word: &str) -> bool {
    const WORDS: [&str; 14] = [
        "",
        "n/a",
        "na",
        "nan",
        "null",
        "nil",
        "none",
        "undefined",
        "unknown",
        "unavailable",
        "inf",
        "infinity",
        "-",
        "--",
    ];
    let word = word.trim().trim_start_matches(['-', '+']);
    WORDS.iter().any(|w| w.eq_ignore_ascii_case(word))
}

/// A list of one is that one.
fn single(value: &Value) -> &Value {
    match value.as_array().map(Vec::as_slice) {
        Some([one]) => one,
        _ => value,
    }
}

/// A number that sums stay far from infinity with.
pub(super) fn number(value: &Value) -> Got<f64> {
    let bounded = |v: f64| if v.is_finite() && v.abs() <= MAX_VALUE { Got::Value(v) } else { Got::Odd };
    match single(value) {
        Value::Null => Got::Missing,
        Value::Number(n) => n.as_f64().map_or(Got::Odd, bounded),
        Value::String(s) if is_missing(s) => Got::Missing,
        Value::String(s) => s.trim().parse().map_or(Got::Odd, bounded),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => Got::Odd,
    }
}

/// Whether something is so; `words` of a decoder come before those that everybody uses.
pub(super) fn truth(value: &Value, words: &BTreeMap<String, bool>) -> Got<bool> {
    let of = |number: f64| match number {
        0.0 => Got::Value(false),
        1.0 => Got::Value(true),
        _ => Got::Odd,
    };
    match single(value) {
        Value::Null => Got::Missing,
        Value::Bool(b) => Got::Value(*b),
        Value::Number(n) => n.as_f64().map_or(Got::Odd, of),
        Value::String(s) => word(s, words).map_or_else(
            || {
                if is_missing(s) { Got::Missing } else { s.trim().parse().map_or(Got::Odd, of) }
            },
            Got::Value,
        ),
        Value::Array(_) | Value::Object(_) => Got::Odd,
    }
}

fn word(text: &str, words: &BTreeMap<String, bool>) -> Option<bool> {
    const TRUE: [&str; 7] = ["true", "on", "yes", "alarm", "有", "报警", "告警"];
    const FALSE: [&str; 6] = ["false", "off", "no", "normal", "无", "正常"];
    let text = text.trim();
    let is = |word: &&str| word.eq_ignore_ascii_case(text);
    let own = words.iter().find(|(word, _)| is(&word.as_str())).map(|(_, is)| *is);
    own.or_else(|| TRUE.iter().any(is).then_some(true)).or_else(|| FALSE.iter().any(is).then_some(false))
}

/// A time in ms: ISO 8601 with a zone, or seconds, ms, µs or ns since 1970, as a number or in words. `None` when it cannot be
/// read or is that of a clock that was never set.
pub(super) fn moment(value: &Value) -> Option<i64> {
    let at = match single(value) {
        Value::Number(n) => by_size(n.as_f64()?)?,
        Value::String(s) => match s.trim().parse() {
            Ok(number) => by_size(number)?,
            Err(_) => iso(s.trim())?,
        },
        _ => return None,
    };
    (at >= EPOCH_MS).then_some(at)
}

/// ms of a number of seconds, ms, µs or ns, which no date of this century lets confuse.
pub(super) fn by_size(number: f64) -> Option<i64> {
    let ms = match number.abs() {
        s if s < 1e11 => number * 1e3,
        ms if ms < 1e14 => number,
        us if us < 1e17 => number / 1e3,
        ns if ns < 1e20 => number / 1e6,
        _ => return None,
    };
    #[expect(clippy::cast_possible_truncation, reason = "below 1e14")]
    ms.is_finite().then_some(ms.round() as i64)
}

/// `2022-06-01T09:16:12.123456789Z`, also with a blank for the `T` and `+08:00` for the `Z`. Without a zone nobody knows when
/// that was.
fn iso(text: &str) -> Option<i64> {
    let digits = |range: std::ops::Range<usize>| -> Option<i64> {
        let part = text.get(range)?;
        part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?
    };
    let bytes = text.as_bytes();
    let marks = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if !text.is_ascii()
        || marks.iter().any(|(at, mark)| bytes.get(*at) != Some(mark))
        || !matches!(bytes.get(10), Some(b'T' | b't' | b' '))
    {
        return None;
    }
    let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
    let (hour, minute, second) = (digits(11..13)?, digits(14..16)?, digits(17..19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let rest = text.get(19..)?;
    let (part, zone) = match rest.strip_prefix(['.', ',']) {
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())),
        None => ("", rest),
    };
    let ms = format!("{part:0<3}").get(..3)?.parse::<i64>().ok()?;
    let shift = match zone.trim() {
        "Z" | "z" => 0,
        zone => {
            let sign = match zone.as_bytes().first()? {
                b'+' => 1,
                b'-' => -1,
                _ => return None,
            };
            let zone: String = zone.get(1..)?.chars().filter(|c| *c != ':').collect();
            let of = |range| zone.get(range).map_or(Some(0), |part: &str| part.parse::<i64>().ok());
            if !matches!(zone.len(), 2 | 4) || !zone.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            sign * (of(0..2)? * 60 + of(2..4)?)
        }
    };
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute - shift) * 60 + second;
    Some(seconds * 1_000 + ms)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    y * 365 + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (m * 153 + 2) / 5 + day - 719_469
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_read_in_each_form_or_not_at_all() {
        for (value, at) in [
            (json!("2022-06-01T09:16:12.123456789Z"), Some(1_654_074_972_123)),
            (json!("2022-01-03T10:11:12+01:00"), Some(1_641_201_072_000)),
            (json!("2022-01-03 10:11:12+0800"), Some(1_641_175_872_000)),
            (json!("2023-11-14T22:13:20Z"), Some(1_700_000_000_000)),
            (json!("2024-02-29T00:00:00Z"), Some(1_709_164_800_000)),
            (json!(1_648_731_311), Some(1_648_731_311_000)),
            (json!(1_648_731_311.5), Some(1_648_731_311_500)),
            (json!("1648731311"), Some(1_648_731_311_000)),
            (json!(1_700_000_000_000_i64), Some(1_700_000_000_000)),
            (json!(1_700_000_000_000_000_i64), Some(1_700_000_000_000)),
            (json!(1_700_000_000_000_000_000_i64), Some(1_700_000_000_000)),
            (json!("2020-12-09T14:12:09"), None),
            (json!("1970-01-01T00:00:10Z"), None),
            (json!(0), None),
            (json!(-5), None),
            (json!("soon"), None),
            (json!(true), None),
            (json!("2022-13-03T10:11:12Z"), None),
        ] {
            assert_eq!(moment(&value), at, "{value}");
        }
    }

    #[test]
    fn truths_and_numbers_are_read_in_each_form() {
        let none = BTreeMap::new();
        for (value, is, n) in [
            (json!(true), Got::Value(true), Got::Odd),
            (json!("true"), Got::Value(true), Got::Odd),
            (json!(" ON"), Got::Value(true), Got::Odd),
            (json!(1), Got::Value(true), Got::Value(1.0)),
            (json!("0"), Got::Value(false), Got::Value(0.0)),
            (json!("0.8"), Got::Odd, Got::Value(0.8)),
            (json!([0.8]), Got::Odd, Got::Value(0.8)),
            (json!("n/a"), Got::Missing, Got::Missing),
            (json!("nan"), Got::Missing, Got::Missing),
            (json!("-inf"), Got::Missing, Got::Missing),
            (json!(null), Got::Missing, Got::Missing),
            (json!(""), Got::Missing, Got::Missing),
            (json!(1e300), Got::Odd, Got::Odd),
            (json!({}), Got::Odd, Got::Odd),
            (json!("无"), Got::Value(false), Got::Odd),
        ] {
            assert_eq!((truth(&value, &none), number(&value)), (is, n), "{value}");
        }
        let own = BTreeMap::from([("emergency".to_owned(), true), (String::new(), false)]);
        assert_eq!(truth(&json!("Emergency"), &own), Got::Value(true));
        assert_eq!(truth(&json!(""), &own), Got::Value(false));
    }

    proptest! {
        #[test]
        fn no_words_are_a_time_before_clocks_were_set(text in "[0-9T:Z+. -]{0,40}") {
            prop_assert!(moment(&json!(text)).is_none_or(|at| at >= EPOCH_MS));
        }

        #[test]
        fn days_follow_each_other(n in 0..100_000_i64) {
            // Howard Hinnant's inverse is not needed: the calendar's own rule is.
            let (mut y, mut left) = (1970, n);
            let leap = |y: i64| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
            while left >= if leap(y) { 366 } else { 365 } {
                left -= if leap(y) { 366 } else { 365 };
                y += 1;
            }
            let lengths = [31, if leap(y) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            let mut month = 0;
            while left >= lengths[month] {
                left -= lengths[month];
                month += 1;
            }
            prop_assert_eq!(days(y, i64::try_from(month).unwrap() + 1, left + 1), n);
        }
    }
}
